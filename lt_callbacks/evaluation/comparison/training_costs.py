from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.comparison import Comparison
from lt_callbacks.evaluation.comparison.statistics import mean
from lt_callbacks.evaluation.records.method_result import MethodResult


@dataclass(frozen=True, kw_only=True)
class TeacherRun:
    """A teacher that a result was reached with.

    Attributes:
        seconds: That its training took; None where the result does not say it.
        is_reused: Whether it came from the store.
    """

    seconds: float | None
    is_reused: bool


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Wall times of a method's runs.

    Attributes:
        num_runs: Its results.
        mean_seconds: Of those that trained something; None where none did.
        longest: The longest of those; None where none trained anything.
        teachers_trained: By these runs; None where the results say nothing about teachers.
        teachers_reused: Taken from the store; None where the results say nothing about teachers.
        teacher_seconds: Mean of those trained; None where none was, or no result says it.
    """

    num_runs: int
    mean_seconds: float | None
    longest: float | None
    teachers_trained: int | None
    teachers_reused: int | None
    teacher_seconds: float | None


def teacher_runs(result: MethodResult) -> list[TeacherRun]:
    """What a result says about its teachers.

    A student's result has them in ``extra["teachers"]``; that of a teacher itself says ``extra["reused"]``. A record of
    another shape says nothing: what a document of another release holds beside its shares is its own.
    """
    teachers = result.extra.get("teachers")
    if isinstance(teachers, Mapping):
        records = [record for record in teachers.values() if isinstance(record, Mapping)]
        return [
            TeacherRun(seconds=_seconds(record.get("seconds")), is_reused=bool(record["reused"]))
            for record in records
            if "reused" in record
        ]
    if isinstance(result.extra.get("reused"), bool):
        return [TeacherRun(seconds=result.seconds, is_reused=result.extra["reused"])]
    return []


def costs(results: Sequence[MethodResult]) -> Costs:
    """Wall times and teachers of the results of one method, at any settings."""
    runs = [run for result in results for run in teacher_runs(result)]
    seconds = [result.seconds for result in results if result.seconds > 0 and not result.extra.get("reused", False)]
    trained = [run.seconds for run in runs if not run.is_reused and run.seconds is not None]
    return Costs(
        num_runs=len(results),
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
        for result, source in zip(setting.results, setting.sources, strict=True):
            teachers = result.extra.get("teachers")
            if isinstance(teachers, Mapping):
                for role, run in zip(teachers, teacher_runs(result), strict=False):
                    found[(source + where, result.seed, "student", role)] = run.is_reused
            elif teacher_runs(result):
                found[(source + where, result.seed, "teacher", result.method)] = result.extra["reused"]
    # a teacher's own row says again what a student's row says of it
    with_students = {key[:2] for key in found if key[2] == "student"}
    counted = [reused for key, reused in found.items() if key[2] == "student" or key[:2] not in with_students]
    return sum(not reused for reused in counted), sum(counted)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
