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
_DIFFERENCE_HEADINGS = tuple(f"difference_{part}" for part in ("mean", "sd", "low", "high", "num_pairs"))

# The share that needs the truth: absent where no row has it.
_OF_TRUTH = "wrong_labels_fitted"


def csv_table(rows: Sequence[TableRow]) -> str:
    """All numbers of the rows as CSV, one line a method.

    Shares are in percent, differences in percentage points; ``best_epoch_*`` is chosen by looking at the test set.
    """
    shares = _shares(rows)
    return _csv([_row_headings(shares), *(_row_values(row, shares) for row in rows)])


def summary_csv(comparison: Comparison, settings: Sequence[SettingRows]) -> str:
    """All rows of a comparison as CSV, one line a setting and method: its axes, then the columns of `csv_table`."""
    shares = _shares([row for found in settings for row in found.rows])
    lines = [[*_axis_values(found.setting), *_row_values(row, shares)] for found in settings for row in found.rows]
    return _csv([[*comparison.axes, *_row_headings(shares)], *lines])


def results_csv(comparison: Comparison) -> str:
    """All results of a comparison as CSV: axes, method, seed, shares in percent, wall times in seconds, document.

    ``teachers_reused`` counts the teachers of a result that came from the store, ``teacher_seconds`` is what the others
    took; both are empty where the result does not say it.
    """
    results = [result for setting in comparison.settings for result in setting.results]
    columns = [
        name for name in _COLUMNS if name != _OF_TRUTH or any(r.wrong_labels_fitted is not None for r in results)
    ]
    headings = [*comparison.axes, "method", "seed", *(_COLUMNS[name] for name in columns), "scored_on", "seconds"]
    lines: list[list[object]] = [[*headings, "teachers_reused", "teacher_seconds", "file"]]
    for setting in comparison.settings:
        for result, source in zip(setting.results, setting.sources, strict=True):
            shares = [*(getattr(result, name) for name in columns), result.scored_on]
            where = [*_axis_values(setting), result.method, result.seed]
            lines.append([*where, *shares, result.seconds, *_teacher_values(result), source])
    return _csv(lines)


def _shares(rows: Sequence[TableRow]) -> list[str]:
    return [name for name in _COLUMNS if name != _OF_TRUTH or any(row.shares[name] for row in rows)]


def _row_headings(shares: Sequence[str]) -> list[str]:
    spreads = [f"{_COLUMNS[name]}_{part}" for name in shares for part in ("mean", "sd")]
    return ["method", "num_seeds", "scored_on", *spreads, *_DIFFERENCE_HEADINGS]


def _row_values(row: TableRow, shares: Sequence[str]) -> list[object]:
    values: list[object] = [row.method, row.num_seeds, row.scored_on]
    for share in shares:
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
