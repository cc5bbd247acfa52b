"""What a report of a comparison says, section by section."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_callbacks.apps.config.job_record import DONE, NOT_A_JOBS, RUNNING, JobRecord
from lt_callbacks.apps.report.figures import accuracy_pictures, gain_pictures, not_drawn, shot_picture
from lt_callbacks.apps.report.methods import compared_of, reference_of
from lt_callbacks.evaluation import Comparison, ResultDocument, gain_over
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.number_text import duration
from lt_callbacks.evaluation.comparison.training_costs import teacher_totals
from lt_callbacks.evaluation.pages.report_blocks import Block, Code, Facts, Paragraph, Section, Table, TableCell
from lt_callbacks.evaluation.pages.setting_tables import accuracy_table, costs_table, gains_table, shares_table

_LONGEST_ERROR = 400


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that a report is made of.

    Attributes:
        comparison: The pooled results.
        documents: File, relative to ``base`` -> document.
        jobs: Folder of a job -> its record.
        base: Folder that names are relative to.
        output: Folder of the report, which links are relative to.
        group_by: Settings that the person asked for.
    """

    comparison: Comparison
    documents: Mapping[str, ResultDocument]
    jobs: Mapping[Path, JobRecord]
    base: Path
    output: Path
    group_by: tuple[str, ...]

    @property
    def unfinished(self) -> dict[Path, JobRecord]:
        """Jobs that are not done."""
        return {folder: job for folder, job in self.jobs.items() if job.status != DONE}


def default_title(comparison: Comparison) -> str:
    """Such as ``digits: accuracy by noise.ratio and imbalance.factor``."""
    data = comparison.common.get("data.name")
    start = f"{data}: accuracy" if data else "Accuracy"
    axes = list(comparison.axes)
    listed = " and ".join([", ".join(axes[:-1]), axes[-1]] if len(axes) > 1 else axes)
    return f"{start} by {listed}" if axes else f"{start} at one setting"


def summary_of(material: Material) -> str:
    """How much there is."""
    found = material.comparison
    counts = [(len(found.settings), "setting"), (len(found.methods), "method"), (len(found.seeds), "seed")]
    parts = ", ".join(_counted(number, word) for number, word in counts)
    return f"{parts}; {_counted(found.num_cells, 'result')} from {_counted(len(material.documents), 'file')}."


def sections_of(material: Material) -> list[Section]:
    """The report."""
    found, group_by = material.comparison, material.group_by
    reference, compared = reference_of(found.methods), compared_of(found.methods)
    note = not_drawn(found, group_by=group_by)
    glance = at_a_glance(material)
    sections = [
        *([Section(title="At a glance", blocks=[Paragraph(items=tuple(glance))])] if glance else []),
        Section(
            title="Accuracy",
            blocks=[
                accuracy_table(found, reference=reference),
                *_told(about_unaffected(found)),
                *accuracy_pictures(found, group_by=group_by),
                *_told([note] if note else []),
            ],
        ),
    ]
    if compared is not None:
        table = gains_table(found, method=compared.method, against=compared.against)
        if table is not None:
            pictures = gain_pictures(found, compared, group_by=group_by)
            sections.append(Section(title=f"Gain of {compared.method}", blocks=[table, *pictures]))
    bars = shot_picture(found, group_by=group_by)
    sections += [
        Section(
            title="Many, medium and few" if bars else "All shares",
            blocks=[*([bars] if bars else []), shares_table(found, reference=reference)],
        ),
        Section(title="Time", blocks=[*_teachers(found), costs_table(found)]),
    ]
    jobs = about_jobs(material)
    if jobs:
        sections.append(Section(title="Jobs", blocks=jobs))
    sections.append(Section(title="Settings", blocks=about_settings(found)))
    sections.append(Section(title="Origin", blocks=about_origin(material)))
    return sections


def problems(material: Material) -> list[str]:
    """A line for each job that is not done."""
    lines = []
    for folder, job in material.unfinished.items():
        error = f": {_shortened(job.error)}" if job.error else ""
        lines.append(f"{_status(job)}: {_relative(folder, material.base)}{error} Log: {folder / job.log}")
    return lines


def at_a_glance(material: Material) -> list[str]:
    """Sentences that a reader must see first; none where there is nothing to say."""
    found = material.comparison
    compared = compared_of(found.methods)
    items = []
    method = compared.method if compared is not None else ""
    for name, others in (compared.against if compared is not None else {}).items():
        gains = [gain_over(setting.cells, method=method, references=others) for setting in found.settings]
        differences = [gain.difference for gain in gains if gain is not None]
        if not differences:
            continue
        above, below = (
            sum(getattr(difference, side) for difference in differences) for side in ("is_above_zero", "is_below_zero")
        )
        without = sum(difference.interval is None for difference in differences)
        rest = len(differences) - above - below - without
        parts = [f"above 0 in {above}", f"below in {below}", f"undecided in {rest}"]
        parts += [f"a single pair in {without}"] if without else []
        rival = f"the {name}" if len(others) > 1 else name
        items.append(
            f"{method} minus {rival}, paired 95 % interval in each of {_counted(len(differences), 'setting')}: "
            f"{', '.join(parts)}."
        )
    fewest = min(
        len(setting.of(method)) for setting in found.settings for method in found.methods if setting.of(method)
    )
    if fewest < 3:
        items.append(f"Some means rest on {_counted(fewest, 'seed')}: too few for a claim.")
    gaps = sum(not setting.of(method) for setting in found.settings for method in found.methods)
    if gaps:
        items.append(f"{_counted(gaps, 'method')} of a setting without results: shown as – in tables, grey in maps.")
    if material.unfinished:
        items.append(
            f"{_counted(len(material.unfinished), 'job')} of {len(material.jobs)} not done, see Jobs; the results that "
            "they had written count."
        )
    elif material.jobs:
        items.append(f"All {len(material.jobs)} jobs are done.")
    return items


def about_unaffected(found: Comparison) -> list[str]:
    """Sentences about methods that an axis does not enter."""
    return [
        f"The same at every {axis}, which does not enter: {', '.join(methods)}."
        for axis, methods in found.unaffected().items()
    ]


def _teachers(found: Comparison) -> list[Block]:
    trained, reused = teacher_totals(found)
    if not trained + reused:
        return []
    return [
        Paragraph(text=f"Teachers: {trained} trained, {reused} taken from the store. Each counts once a file and seed.")
    ]


def about_jobs(material: Material) -> list[Block]:
    """Jobs that are not done, results that are elsewhere, missing or there twice; nothing where all is well."""
    blocks: list[Block] = []
    if material.unfinished:
        rows = [
            [
                TableCell(text=_status(job)),
                TableCell(text=_overrides(job) or _relative(folder, material.base)),
                TableCell(text=_shortened(job.error) or "–"),
                TableCell(text=duration(job.seconds), sort=job.seconds),
                TableCell(
                    text=_relative(folder / job.log, material.base), link=_relative(folder / job.log, material.output)
                ),
            ]
            for folder, job in material.unfinished.items()
        ]
        blocks.append(
            Table(
                headings=("Status", "Job", "Error", "Time", "Log"),
                groups=[("", rows)],
                numbers=frozenset({3}),
                texts=frozenset({1, 2}),
                note="A job that was killed with its sweep still says that it runs.",
            )
        )
    folders = {(material.base / name).parent.resolve() for name in material.documents}
    elsewhere = [
        _relative(folder, material.base)
        for folder, job in material.jobs.items()
        if job.status == DONE and folder.resolve() not in folders
    ]
    if elsewhere:
        blocks.append(
            Paragraph(text="Done, but without results beside them, so not counted here:", items=tuple(elsewhere))
        )
    empty = [name for name, document in material.documents.items() if not document.cells]
    if empty:
        blocks.append(Paragraph(text="Without a finished result yet:", items=tuple(empty)))
    if material.comparison.repeated:
        blocks.append(Paragraph(text="Found twice:", items=material.comparison.repeated))
    return blocks


def about_settings(found: Comparison) -> list[Block]:
    """The axes, what follows them, and what all runs share."""
    blocks: list[Block] = []
    if found.axes:
        axes = {axis: ", ".join(setting_axes.text(value) for value in found.values(axis)) for axis in found.axes}
        blocks.append(Facts(groups={"Compared": axes}))
    if found.follows:
        blocks.append(Paragraph(items=tuple(_following(key, found) for key in found.follows)))
    groups: dict[str, dict[str, str]] = {}
    for key, value in found.common.items():
        group, _, name = key.partition(".")
        groups.setdefault(group if name else "run", {})[name or group] = setting_axes.text(value)
    blocks.append(Facts(groups=groups))
    return blocks


def _following(key: str, found: Comparison) -> str:
    follower = found.follows[key]
    by_value: dict[str, list[str]] = {}
    for value, own in follower.values:
        by_value.setdefault(setting_axes.text(own), []).append(setting_axes.text(value))
    told = "; ".join(f"{own} at {', '.join(values)}" for own, values in by_value.items())
    return f"{key} follows {follower.axis}: {told}."


def about_origin(material: Material) -> list[Block]:
    """Which commands made the results, when and on what machine, and in which files they lie."""
    documents = material.documents.values()
    runs = [run for document in documents for run in document.runs]
    commands = list(dict.fromkeys(run["command"] for run in runs))
    dates = sorted(f"{run['date'][:16].replace('T', ' ')} UTC" for run in runs)
    machines = dict.fromkeys(_machine(run["hardware"]) for run in runs)
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version) for run in runs
    )
    facts = {"Dates": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "–"}
    facts |= _numbered("Machine", list(machines)) | _numbered("Versions", list(versions))
    rows = [
        [
            TableCell(text=name, link=_relative(material.base / name, material.output)),
            TableCell(text=str(len(document.cells)), sort=len(document.cells)),
            TableCell(text=", ".join(map(str, document.seeds)) or "–"),
        ]
        for name, document in material.documents.items()
    ]
    files = Table(
        headings=("File", "Results", "Seeds"),
        groups=[("", rows)],
        numbers=frozenset({1}),
        texts=frozenset({0}),
        is_list=True,
    )
    notes = tuple(dict.fromkeys(document.notes for document in documents if document.notes))
    told: list[Block] = [Paragraph(text="Notes of the files:", items=notes)] if notes else []
    return [Facts(groups={"": facts}), *told, Code(text="\n".join(commands)), files]


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = hardware.get("gpus") or []
    parts = [f"{len(gpus)} × {gpus[0]}"] if len(set(gpus)) == 1 else list(gpus)
    parts += [f"{hardware.get('cpu')}, {_counted(hardware.get('num_cores') or 0, 'core')}", str(hardware.get("system"))]
    return ", ".join(parts)


def _numbered(name: str, values: Sequence[str]) -> dict[str, str]:
    if len(values) == 1:
        return {name: values[0]}
    return {f"{name} {number}": value for number, value in enumerate(values, start=1)}


def _told(sentences: Sequence[str]) -> list[Block]:
    return [Paragraph(text=sentence) for sentence in sentences]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _status(job: JobRecord) -> str:
    return "unfinished" if job.status == RUNNING else job.status


def _overrides(job: JobRecord) -> str:
    return " ".join(each for each in job.overrides if each.lstrip("+").partition("=")[0] not in NOT_A_JOBS)


def _shortened(error: str | None) -> str:
    text = " ".join((error or "").split())
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"


def _relative(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()
