from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.job_results import Comparison
from lt_callbacks.evaluation.comparison.statistics import mean
from lt_callbacks.evaluation.records.results import CellResult


@dataclass(frozen=True, kw_only=True)
class TeacherRun:
    """A teacher of a cell.

    Attributes:
        seconds: That its training took; None where the cell does not say it.
        is_reused: Whether it came from the store.
    """

    seconds: float | None
    is_reused: bool


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Wall times of a method's runs.

    Attributes:
        num_runs: Its cells.
        mean_seconds: Of those that trained something; None where none did.
        longest: Likewise.
        teachers_trained: By these runs; None where the cells say nothing about teachers.
        teachers_reused: From the store.
        teacher_seconds: Mean of those trained; None where none was, or no cell says it.
    """

    num_runs: int
    mean_seconds: float | None
    longest: float | None
    teachers_trained: int | None
    teachers_reused: int | None
    teacher_seconds: float | None


def teacher_runs(cell: CellResult) -> list[TeacherRun]:
    """What a cell says about its teachers: ``extra["teachers"]`` of a student, ``extra["reused"]`` of a teacher's row.

    A record of another shape says nothing: what a document of another release holds beside its shares is its own.
    """
    teachers = cell.extra.get("teachers")
    if isinstance(teachers, Mapping):
        records = [record for record in teachers.values() if isinstance(record, Mapping)]
        return [
            TeacherRun(seconds=_seconds(record.get("seconds")), is_reused=bool(record["reused"]))
            for record in records
            if "reused" in record
        ]
    if isinstance(cell.extra.get("reused"), bool):
        return [TeacherRun(seconds=cell.seconds, is_reused=cell.extra["reused"])]
    return []


def costs(cells: Sequence[CellResult]) -> Costs:
    """Costs of cells of one method, at any settings."""
    runs = [run for cell in cells for run in teacher_runs(cell)]
    seconds = [cell.seconds for cell in cells if cell.seconds > 0 and not cell.extra.get("reused", False)]
    trained = [run.seconds for run in runs if not run.is_reused and run.seconds is not None]
    return Costs(
        num_runs=len(cells),
        mean_seconds=mean(seconds) if seconds else None,
        longest=max(seconds, default=None),
        teachers_trained=sum(not run.is_reused for run in runs) if runs else None,
        teachers_reused=sum(run.is_reused for run in runs) if runs else None,
        teacher_seconds=mean(trained) if trained else None,
    )


def teacher_totals(comparison: Comparison) -> tuple[int, int]:
    """Teachers that were trained for a comparison, and those that its runs took from the store.

    The rows of a run share its teachers: each counts once a document and seed.
    """
    found: dict[tuple[str, int, str, str], bool] = {}
    for setting in comparison.settings:
        where = setting_axes.identity(setting.values)
        for cell, source in zip(setting.cells, setting.sources, strict=True):
            teachers = cell.extra.get("teachers")
            if isinstance(teachers, Mapping):
                for role, run in zip(teachers, teacher_runs(cell), strict=False):
                    found[(source + where, cell.seed, "student", role)] = run.is_reused
            elif teacher_runs(cell):
                found[(source + where, cell.seed, "teacher", cell.method)] = cell.extra["reused"]
    # a teacher's own row says again what a student's row says of it
    with_students = {key[:2] for key in found if key[2] == "student"}
    counted = [reused for key, reused in found.items() if key[2] == "student" or key[:2] not in with_students]
    return sum(not reused for reused in counted), sum(counted)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
