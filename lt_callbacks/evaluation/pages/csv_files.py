"""Rows and results as CSV, for other programs: every number in full precision, empty where there is no value."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.setting_rows import SettingRows
from lt_callbacks.evaluation.comparison.summary import SHARES, TableRow
from lt_callbacks.evaluation.comparison.training_costs import teacher_runs
from lt_callbacks.evaluation.records.method_result import MethodResult

# The column says that it is chosen by looking at the test set.
_COLUMNS = {name: "best_epoch_accuracy" if name == "best_accuracy" else name for name in SHARES}
_ROW_HEADINGS = (
    "method",
    "num_seeds",
    *(f"{column}_{part}" for column in _COLUMNS.values() for part in ("mean", "sd")),
    *(f"difference_{part}" for part in ("mean", "sd", "low", "high", "num_pairs")),
)


def csv_table(rows: Sequence[TableRow]) -> str:
    """All numbers of the rows as CSV, one line a method.

    Shares are in percent, differences in percentage points; ``best_epoch_*`` is chosen by looking at the test set.
    """
    return _csv([_ROW_HEADINGS, *map(_row_values, rows)])


def summary_csv(comparison: Comparison, settings: Sequence[SettingRows]) -> str:
    """All rows of a comparison as CSV, one line a setting and method: its axes, then the columns of `csv_table`."""
    lines = [[*_axis_values(found.setting), *_row_values(row)] for found in settings for row in found.rows]
    return _csv([[*comparison.axes, *_ROW_HEADINGS], *lines])


def results_csv(comparison: Comparison) -> str:
    """All results of a comparison as CSV: axes, method, seed, shares in percent, wall times in seconds, document.

    ``teachers_reused`` counts the teachers of a result that came from the store, ``teacher_seconds`` is what the others
    took; both are empty where the result does not say it.
    """
    headings = [*comparison.axes, "method", "seed", *_COLUMNS.values(), "seconds"]
    lines: list[list[object]] = [[*headings, "teachers_reused", "teacher_seconds", "file"]]
    for setting in comparison.settings:
        for result, source in zip(setting.results, setting.sources, strict=True):
            shares = [getattr(result, name) for name in _COLUMNS]
            where = [*_axis_values(setting), result.method, result.seed]
            lines.append([*where, *shares, result.seconds, *_teacher_values(result), source])
    return _csv(lines)


def _row_values(row: TableRow) -> list[object]:
    values: list[object] = [row.method, row.num_seeds]
    for share in _COLUMNS:
        spread = row.shares[share]
        values += [spread.mean, spread.sd] if spread else [None, None]
    if row.difference is None:
        return [*values, *[None] * 5]
    low, high = row.difference.interval or (None, None)
    return [*values, row.difference.mean, row.difference.sd, low, high, row.difference.num_pairs]


def _axis_values(setting: SettingResults) -> list[object]:
    return [None if value is None else setting_axes.text(value) for value in setting.values.values()]


def _teacher_values(result: MethodResult) -> list[object]:
    runs = teacher_runs(result)
    if not runs:
        return [None, None]
    trained = [run.seconds for run in runs if not run.is_reused]
    seconds = None if None in trained else sum(second or 0.0 for second in trained)
    return [sum(run.is_reused for run in runs), seconds]


def _csv(lines: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()
