"""The tables of a comparison: accuracy by setting, all shares, gains, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lt_callbacks.evaluation.comparison import number_text
from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.gains import Gain, gain_over
from lt_callbacks.evaluation.comparison.setting_rows import SettingRows
from lt_callbacks.evaluation.comparison.training_costs import Costs, costs
from lt_callbacks.evaluation.pages.method_table import (
    BEST_NOTE,
    GROUPS_NOTE,
    WRONG_LABELS_NOTE,
    difference_cell,
    reference_of,
    row_cells,
    share_cell,
    shown_shares,
    table_headings,
)
from lt_callbacks.evaluation.pages.report_blocks import Table, TableCell


def accuracy_table(comparison: Comparison, settings: Sequence[SettingRows]) -> Table:
    """Table of the mean accuracy, one row a setting, one column a method."""
    lines = []
    for position, found in enumerate(settings):
        line = [_name(found.setting, position)]
        for method in comparison.methods:
            row = found.of(method)
            line.append(share_cell(row.shares["accuracy"], is_best="accuracy" in row.best) if row else _missing())
        lines.append([*line, _seeds(found.setting)])
    is_best = any("accuracy" in row.best for found in settings for row in found.rows)
    return Table(
        headings=(_axes(comparison), *comparison.methods, "Seeds"),
        groups=[("", lines)],
        numbers=frozenset(range(1, len(comparison.methods) + 2)),
        note=" ".join([_what(comparison), *([BEST_NOTE] if is_best else [])]),
    )


def shares_table(comparison: Comparison, settings: Sequence[SettingRows]) -> Table:
    """Table of all shares of each method, one group a setting."""
    every = [row for found in settings for row in found.rows]
    shares, reference = shown_shares(every), reference_of(every)
    groups = []
    for found in settings:
        lines = [
            [
                *row_cells(row, shares=shares, is_compared=reference is not None),
                _time(costs(found.setting.of(row.method)).mean_seconds),
            ]
            for row in found.rows
        ]
        groups.append((found.setting.title, lines))
    sentences = [_what(comparison)]
    if {"many", "medium", "few"} & set(shares):
        sentences.append(GROUPS_NOTE)
    if "wrong_labels_fitted" in shares:
        sentences.append(WRONG_LABELS_NOTE)
    if reference is not None:
        sentences.append("Difference: percentage points of All, paired by seed, with 95 % Student-t interval.")
    if any(row.best for row in every):
        sentences.append(BEST_NOTE)
    sentences.append("Time: mean wall time of a training.")
    headings = (*table_headings(shares, reference=reference), "Time")
    return Table(
        headings=headings,
        groups=groups,
        numbers=frozenset(range(1, len(headings))),
        note=" ".join(sentences),
    )


def gains_table(comparison: Comparison, *, method: str, against: Mapping[str, Sequence[str]]) -> Table | None:
    """Table of a method's paired differences, one row a setting; ``None`` where there are none.

    Args:
        comparison: Pooled results.
        method: The method that is compared.
        against: Title of a column -> methods of which the best at each setting is the reference.
    """
    headings = [_axes(comparison)]
    for name, others in against.items():
        headings += [f"{method} − {name}", *([name.capitalize()] if len(others) > 1 else [])]
    lines = []
    found: list[Gain] = []
    for position, setting in enumerate(comparison.settings):
        line = [_name(setting, position)]
        num_seeds = len(setting.of(method))
        for others in against.values():
            gain = gain_over(setting.results, method=method, references=others)
            found += [gain] if gain is not None else []
            line.append(difference_cell(gain.difference if gain else None, num_seeds=num_seeds))
            line += [TableCell(text=gain.reference if gain else number_text.NOTHING)] if len(others) > 1 else []
        lines.append(line)
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
    return Table(headings=tuple(headings), groups=[("", lines)], numbers=frozenset(numbers), note=note)


def costs_table(comparison: Comparison) -> Table:
    """Table of each method's wall time over all settings, and of how many of its teachers had to be trained."""
    headings = ["Method", "Runs", "Mean time a training", "Longest", "Teachers trained", "Teachers reused"]
    headings.append("Mean time a trained teacher")
    lines = []
    for method in comparison.methods:
        found = costs([result for setting in comparison.settings for result in setting.of(method)])
        lines.append([TableCell(text=method), TableCell(text=str(found.num_runs), sort=found.num_runs), *_times(found)])
    note = (
        "Wall time. A run whose teacher came from the store, or that trains nothing, does not count in the mean. "
        "A teacher that several methods of a run share is listed with each of them."
    )
    return Table(headings=tuple(headings), groups=[("", lines)], numbers=frozenset(range(1, 7)), note=note)


def _axes(comparison: Comparison) -> str:
    return " / ".join(comparison.axes) or "Setting"


def _what(comparison: Comparison) -> str:
    is_one_seed = all(len(setting.of(method)) < 2 for setting in comparison.settings for method in comparison.methods)
    how = "one seed" if is_one_seed else "mean ± sd over seeds"
    return f"Percent of {comparison.scored_on} after the last epoch, {how}."


def _name(setting: SettingResults, position: int) -> TableCell:
    return TableCell(text=setting.short_title or "all runs", sort=position)


def _seeds(setting: SettingResults) -> TableCell:
    counts = sorted({len(setting.of(result.method)) for result in setting.results})
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return TableCell(text=text, sort=counts[0])


def _missing() -> TableCell:
    return TableCell(text=number_text.NOTHING)


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
