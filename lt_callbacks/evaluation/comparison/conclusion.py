"""What a table shows in a few sentences, and no more than its intervals allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lt_callbacks.evaluation.comparison.number_text import counted, signed
from lt_callbacks.evaluation.comparison.setting_rows import SettingRows
from lt_callbacks.evaluation.comparison.statistics import PairedDifference
from lt_callbacks.evaluation.comparison.summary import TableRow
from lt_callbacks.evaluation.records.method_result import TEST_SET

# With more settings than these, a sentence for each is a wall of text.
_MOST_SETTINGS = 3


def conclusion(rows: Sequence[TableRow]) -> str:
    """Which methods are better or worse than the reference by their paired intervals; empty where none is compared.

    It claims nothing of a single pair, and nothing about which method is right where the results were scored on given
    labels. Each interval is of one comparison: with several the text says that they are not corrected for that.

    Args:
        rows: Of one setting, as `summarise` makes them.
    """
    reference = next((row.method for row in rows if row.is_reference), None)
    found = {row.method: row.difference for row in rows if row.difference is not None}
    if reference is None or not found:
        return ""
    if not _is_test_set(rows):
        return _of_given_labels(rows)
    sure = {method: difference for method, difference in found.items() if difference.interval is not None}
    if not sure:
        seeds = "One seed" if all(row.num_seeds == 1 for row in rows) else f"One seed in common with {reference}"
        return f"{seeds}: no interval, so nothing is shown."
    sentences = [*_sides(sure, reference), *_best(rows)]
    unsure = [method for method in found if method not in sure]
    if unsure:
        sentences.append(f"One seed in common with {reference}, so nothing is shown of: {'; '.join(unsure)}.")
    return " ".join([*sentences, *_uncorrected(len(sure))])


def conclusions(settings: Sequence[SettingRows]) -> tuple[str, ...]:
    """The conclusion at each of a few settings; of many, one sentence that counts intervals by their side of 0."""
    compared = [found for found in settings if conclusion(found.rows)]
    if len(settings) <= _MOST_SETTINGS:
        return tuple(": ".join(filter(None, (found.setting.title, conclusion(found.rows)))) for found in compared)
    rows = [row for found in compared for row in found.rows]
    if not rows:
        return ()
    if not _is_test_set(rows):
        return (_of_given_labels(rows),)
    differences = [row.difference for row in rows if row.difference is not None]
    sure = [difference for difference in differences if difference.interval is not None]
    if not sure:
        return ("One pair of seeds a setting: no interval, so nothing is shown.",)
    references = " or ".join(dict.fromkeys(row.method for row in rows if row.is_reference))
    above = sum(difference.is_above_zero for difference in sure)
    below = sum(difference.is_below_zero for difference in sure)
    counts = f"above 0: {above}, below 0: {below}, around 0: {len(sure) - above - below}"
    text = f"Paired 95 % intervals of the differences to {references} at {counted(len(compared), 'setting')}: {counts}."
    return (" ".join([text, *_uncorrected(len(sure))]),)


def _is_test_set(rows: Sequence[TableRow]) -> bool:
    return all(row.scored_on == TEST_SET for row in rows)


def _of_given_labels(rows: Sequence[TableRow]) -> str:
    bases = " or ".join(dict.fromkeys(row.scored_on for row in rows))
    return (
        f"Scored on {bases}: accuracy is agreement with labels of which some may be wrong, so no method is shown to be"
        " right more often than another."
    )


def _sides(found: Mapping[str, PairedDifference], reference: str) -> list[str]:
    """Sentences about the differences that have an interval, by the side of 0 on which it lies."""
    better = [method for method in found if found[method].is_above_zero]
    worse = [method for method in found if found[method].is_below_zero]
    others = [method for method in found if method not in (*better, *worse)]
    seeds = _seeds(found)
    if len(others) == len(found) == 1:
        low, high = (signed(end) for end in found[others[0]].interval or ())
        return [
            f"{others[0]} is not shown to be better or worse than {reference}: the 95 % interval of the difference,"
            f" {low} to {high} points, contains 0 ({seeds})."
        ]
    if len(others) == len(found):
        return [f"No method is shown to be better than {reference}: every 95 % interval contains 0 ({seeds})."]
    sentences = [] if better else [f"No method is shown to be better than {reference}."]
    for methods, word in ((better, "better"), (worse, "worse")):
        if len(methods) == 1:
            mean, interval = _size(found[methods[0]])
            sentences.append(
                f"{methods[0]} is {word} than {reference} by {mean} points (95 % interval {interval}, {seeds})."
            )
        elif methods:
            sizes = {name: _size(found[name]) for name in sorted(methods, key=lambda name: -abs(found[name].mean))}
            listed = "; ".join(f"{name} {mean} ({interval})" for name, (mean, interval) in sizes.items())
            sentences.append(f"{word.capitalize()} than {reference}, in points (95 % interval, {seeds}): {listed}.")
    # Names have commas of their own.
    return [*sentences, *([f"Not shown to differ from {reference}: {'; '.join(others)}."] if others else [])]


def _size(found: PairedDifference) -> tuple[str, str]:
    """How large a difference is on the side of 0 that its interval lies on, and the interval."""
    low, high = sorted(abs(end) for end in found.interval or ())
    return f"{abs(found.mean):.1f}", f"{low:.1f} to {high:.1f}"


def _best(rows: Sequence[TableRow]) -> list[str]:
    """Whether one of several better methods is better than the others too, which no interval to the reference says."""
    better = [row for row in rows if row.difference is not None and row.difference.is_above_zero]
    if len(better) < 2:
        return []
    best = [row.method for row in better if "accuracy" in row.best]
    return [f"{best[0]} is better than every other row, too." if best else "Which of them is best is not shown."]


def _seeds(found: Mapping[str, PairedDifference]) -> str:
    numbers = sorted({difference.num_pairs for difference in found.values()})
    return counted(numbers[0], "seed") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"


def _uncorrected(num_comparisons: int) -> list[str]:
    return [f"Not corrected for {num_comparisons} comparisons."] if num_comparisons > 1 else []
