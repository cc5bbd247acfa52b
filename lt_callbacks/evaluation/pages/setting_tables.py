"""The tables of a comparison: accuracy by setting, all shares, gains, costs; and the same numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from lt_callbacks.evaluation.comparison import number_text, setting_axes
from lt_callbacks.evaluation.comparison.gains import Gain, gain_over
from lt_callbacks.evaluation.comparison.job_results import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.statistics import PairedDifference
from lt_callbacks.evaluation.comparison.table import Spread, TableRow, summarise
from lt_callbacks.evaluation.comparison.training_costs import Costs, costs, teacher_runs
from lt_callbacks.evaluation.pages.report_blocks import Table, TableCell
from lt_callbacks.evaluation.pages.table_formats import csv_table
from lt_callbacks.evaluation.records.results import CellResult

_SHARES = {
    "accuracy": "All",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "wrong_labels_fitted": "Wrong labels fitted",
}
_BEST = "Bold: the paired 95 % interval against every other method lies above 0."


def accuracy_table(comparison: Comparison, *, reference: str | None) -> Table:
    """Mean accuracy, one row a setting, one column a method."""
    rows = []
    best = False
    for position, setting in enumerate(comparison.settings):
        found = {row.method: row for row in _summary(setting, reference)}
        cells = [_name(setting, position)]
        for method in comparison.methods:
            row = found.get(method)
            cells.append(_share(row.shares["accuracy"], is_best="accuracy" in row.best) if row else _missing())
            best |= row is not None and "accuracy" in row.best
        rows.append([*cells, _seeds(setting)])
    note = _what(comparison) + (f" {_BEST}" if best else "")
    heading = " / ".join(comparison.axes) or "Setting"
    width = len(comparison.methods)
    return Table(
        headings=(heading, *comparison.methods, "Seeds"),
        groups=[("", rows)],
        numbers=frozenset(range(1, width + 2)),
        note=note,
    )


def shares_table(comparison: Comparison, *, reference: str | None) -> Table:
    """All shares of each method, one group a setting."""
    summaries = [(setting, _summary(setting, reference)) for setting in comparison.settings]
    names = [name for name in _SHARES if any(row.shares[name] for _, rows in summaries for row in rows)]
    is_compared = any(row.is_reference for _, rows in summaries for row in rows)
    headings = ["Method", "Seeds", *(_SHARES[name] for name in names)]
    headings += [*([f"Difference to {reference}"] if is_compared else []), "Time"]
    groups = []
    for setting, rows in summaries:
        lines = []
        for row in rows:
            line = [TableCell(text=row.method), TableCell(text=str(row.num_seeds), sort=row.num_seeds)]
            line += [_share(row.shares[name], is_best=name in row.best) for name in names]
            difference = _difference(row.difference, num_seeds=row.num_seeds, is_reference=row.is_reference)
            line += [difference] if is_compared else []
            line.append(_time(costs(setting.of(row.method)).mean_seconds))
            lines.append(line)
        groups.append((setting.label, lines))
    sentences = [_what(comparison)]
    if "wrong_labels_fitted" in names:
        sentences.append(
            "Wrong labels fitted: percent of the wrongly labelled training samples predicted as their given label."
        )
    if is_compared:
        sentences.append("Difference: percentage points of All, paired by seed, with 95 % Student-t interval.")
    if any(row.best for _, rows in summaries for row in rows):
        sentences.append(_BEST)
    sentences.append("Time: mean wall time of a training.")
    return Table(
        headings=tuple(headings),
        groups=groups,
        numbers=frozenset(range(1, len(headings))),
        note=" ".join(sentences),
    )


def gains_table(comparison: Comparison, *, method: str, against: Mapping[str, Sequence[str]]) -> Table | None:
    """Paired differences of a method, one row a setting; None where there are none. See `gain_maps_figure`."""
    headings = [" / ".join(comparison.axes) or "Setting"]
    for name, others in against.items():
        headings += [f"{method} − {name}", *([name.capitalize()] if len(others) > 1 else [])]
    rows = []
    found: list[Gain] = []
    for position, setting in enumerate(comparison.settings):
        cells = [_name(setting, position)]
        num_seeds = len(setting.of(method))
        for others in against.values():
            gain = gain_over(setting.cells, method=method, references=others)
            found += [gain] if gain is not None else []
            cells.append(_difference(gain.difference if gain else None, num_seeds=num_seeds))
            cells += [TableCell(text=gain.reference if gain else number_text.NOTHING)] if len(others) > 1 else []
        rows.append(cells)
    if not found:
        return None
    if all(gain.difference.interval is None for gain in found):
        note = "Percentage points of accuracy at one seed: there is no interval."
    else:
        note = (
            "Percentage points of accuracy, paired by seed, with 95 % Student-t interval. Each interval is of one "
            "setting alone: among many settings, some leave out 0 by chance."
        )
    numbers = [place for place, heading in enumerate(headings) if heading.startswith(f"{method} − ")]
    return Table(headings=tuple(headings), groups=[("", rows)], numbers=frozenset(numbers), note=note)


def costs_table(comparison: Comparison) -> Table:
    """Wall time of each method over all settings, and how many of its teachers had to be trained."""
    headings = ["Method", "Runs", "Mean time a training", "Longest", "Teachers trained", "Teachers reused"]
    headings.append("Mean time a trained teacher")
    lines = []
    for method in comparison.methods:
        found = costs([cell for setting in comparison.settings for cell in setting.of(method)])
        lines.append([TableCell(text=method), TableCell(text=str(found.num_runs), sort=found.num_runs), *_times(found)])
    note = (
        "Wall time. A run whose teacher came from the store, or that trains nothing, does not count in the mean. "
        "A teacher that several methods of a run share is listed with each of them."
    )
    return Table(headings=tuple(headings), groups=[("", lines)], numbers=frozenset(range(1, 7)), note=note)


def results_csv(comparison: Comparison) -> str:
    """One row a cell: axes, method, seed, all shares in percent, wall times in seconds, the document it is from.

    ``teachers_reused`` counts the teachers of the cell that came from the store, ``teacher_seconds`` is what the others
    took; both are empty where the cell does not say it.
    """
    names = {**{name: name for name in _SHARES}, "best_accuracy": "best_epoch_accuracy", "seconds": "seconds"}
    lines: list[list[object]] = [
        [*comparison.axes, "method", "seed", *names.values(), "teachers_reused", "teacher_seconds", "file"]
    ]
    for setting in comparison.settings:
        for cell, source in zip(setting.cells, setting.sources, strict=True):
            shares = [getattr(cell, name) for name in names]
            lines.append([*_values(setting), cell.method, cell.seed, *shares, *_teachers(cell), source])
    return _csv(lines)


def summary_csv(comparison: Comparison, *, reference: str | None) -> str:
    """One row a setting and method: axes, then the columns of `csv_table`."""
    lines: list[list[object]] = []
    for setting in comparison.settings:
        heading, *rows = csv.reader(io.StringIO(csv_table(_summary(setting, reference))))
        if not lines:
            lines.append([*comparison.axes, *heading])
        lines += [[*_values(setting), *row] for row in rows]
    return _csv(lines)


def _summary(setting: SettingResults, reference: str | None) -> list[TableRow]:
    return summarise(setting.cells, reference=reference if setting.of(reference or "") else None)


def _what(comparison: Comparison) -> str:
    is_one_seed = all(len(setting.of(method)) < 2 for setting in comparison.settings for method in comparison.methods)
    how = "one seed" if is_one_seed else "mean ± sd over seeds"
    return f"Percent of the test set after the last epoch, {how}."


def _name(setting: SettingResults, position: int) -> TableCell:
    return TableCell(text=setting.short_label or "all runs", sort=position)


def _seeds(setting: SettingResults) -> TableCell:
    counts = sorted({sum(other.method == cell.method for other in setting.cells) for cell in setting.cells})
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return TableCell(text=text, sort=counts[0])


def _missing() -> TableCell:
    return TableCell(text=number_text.NOTHING)


def _share(spread: Spread | None, *, is_best: bool) -> TableCell:
    if spread is None:
        return _missing()
    return TableCell(text=number_text.spread(spread), sort=spread.mean, is_best=is_best)


def _difference(found: PairedDifference | None, *, num_seeds: int, is_reference: bool = False) -> TableCell:
    if found is None:
        return TableCell(text="reference") if is_reference else _missing()
    tone = "good" if found.is_above_zero else "bad" if found.is_below_zero else ""
    return TableCell(text=number_text.difference(found, num_seeds=num_seeds), sort=found.mean, tone=tone)


def _times(found: Costs) -> list[TableCell]:
    teachers = [found.teachers_trained, found.teachers_reused]
    return [
        _time(found.mean_seconds),
        _time(found.longest),
        *(_missing() if number is None else TableCell(text=str(number), sort=number) for number in teachers),
        _time(found.teacher_seconds),
    ]


def _time(seconds: float | None) -> TableCell:
    return TableCell(text=number_text.duration(seconds), sort=seconds)


def _teachers(cell: CellResult) -> list[object]:
    runs = teacher_runs(cell)
    if not runs:
        return [None, None]
    trained = [run.seconds for run in runs if not run.is_reused]
    seconds = None if None in trained else sum(second or 0.0 for second in trained)
    return [sum(run.is_reused for run in runs), seconds]


def _values(setting: SettingResults) -> list[object]:
    return [None if value is None else setting_axes.text(value) for value in setting.values.values()]


def _csv(lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()
