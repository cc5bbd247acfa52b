"""What a reader of a report sees first: its title, how much there is, and what must be known before the numbers."""

from __future__ import annotations

from lt_callbacks.apps.report.material import Material
from lt_callbacks.evaluation import Comparison, gain_over
from lt_callbacks.evaluation.comparison.number_text import counted


def default_title(comparison: Comparison) -> str:
    """Title of a report that was given none, such as ``digits: accuracy by noise.ratio and imbalance.factor``."""
    data = comparison.common.get("data.name")
    start = f"{data}: accuracy" if data else "Accuracy"
    axes = list(comparison.axes)
    listed = " and ".join([", ".join(axes[:-1]), axes[-1]] if len(axes) > 1 else axes)
    return f"{start} by {listed}" if axes else f"{start} at one setting"


def summary_of(material: Material) -> str:
    """One sentence that counts settings, methods, seeds, results and files."""
    found = material.comparison
    counts = [(len(found.settings), "setting"), (len(found.methods), "method"), (len(found.seeds), "seed")]
    parts = ", ".join(counted(number, word) for number, word in counts)
    return f"{parts}; {counted(found.num_results, 'result')} from {counted(len(material.documents), 'file')}."


def at_a_glance(material: Material) -> list[str]:
    """Sentences that a reader must see first; none where there is nothing to say."""
    return [*_gains(material), *_gaps(material.comparison), *_jobs(material)]


def _gains(material: Material) -> list[str]:
    """On which side of 0 the intervals of the compared method lie, one sentence a rival."""
    compared, found = material.compared, material.comparison
    if compared is None:
        return []
    sentences = []
    for name, others in compared.against.items():
        gains = [gain_over(setting.results, method=compared.method, references=others) for setting in found.settings]
        differences = [gain.difference for gain in gains if gain is not None]
        if not differences:
            continue
        above = sum(difference.is_above_zero for difference in differences)
        below = sum(difference.is_below_zero for difference in differences)
        without = sum(difference.interval is None for difference in differences)
        parts = [f"above 0 in {above}", f"below in {below}"]
        parts.append(f"undecided in {len(differences) - above - below - without}")
        parts += [f"a single pair in {without}"] if without else []
        rival = f"the {name}" if len(others) > 1 else name
        sentences.append(
            f"{compared.method} minus {rival}, paired 95 % interval in each of "
            f"{counted(len(differences), 'setting')}: {', '.join(parts)}."
        )
    return sentences


def _gaps(found: Comparison) -> list[str]:
    runs = [len(setting.of(method)) for setting in found.settings for method in found.methods]
    sentences = []
    fewest = min(number for number in runs if number)
    if fewest < 3:
        sentences.append(f"Some means rest on {counted(fewest, 'seed')}: too few for a claim.")
    gaps = runs.count(0)
    if gaps:
        sentences.append(f"{counted(gaps, 'method')} of a setting without results: shown as – in tables, grey in maps.")
    return sentences


def _jobs(material: Material) -> list[str]:
    if material.unfinished:
        return [
            f"{counted(len(material.unfinished), 'job')} of {len(material.jobs)} not done, see Jobs; the results that "
            "they had written count."
        ]
    return [f"All {len(material.jobs)} jobs are done."] if material.jobs else []
