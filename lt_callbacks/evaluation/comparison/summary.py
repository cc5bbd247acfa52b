from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lt_callbacks import _checks
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison.statistics import PairedDifference, mean, paired_difference, sd
from lt_callbacks.evaluation.records.method_result import MethodResult, scored_on

ACCURACIES = ("accuracy", "many", "medium", "few")
SHARES = (*ACCURACIES, "wrong_labels_fitted", "best_accuracy")


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and sample standard deviation over seeds; ``sd`` is ``None`` for a single seed."""

    mean: float
    sd: float | None


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of the table: one method over all its seeds.

    Attributes:
        method: Name of the method.
        num_seeds: Runs behind each mean.
        shares: Name of the share (`accuracy`, `many`, ...) -> its spread in percent; ``None`` where no run has it.
        difference: Accuracy minus that of the reference on common seeds, in percentage points; ``None`` for the
            reference itself, without a reference, and where no seed is common.
        is_reference: Whether this is the method that the others are compared with.
        best: Accuracies in which the method is better than every other, each by a paired interval above 0.
        scored_on: What the shares are percentages of, in words.
    """

    method: str
    num_seeds: int
    shares: dict[str, Spread | None]
    difference: PairedDifference | None
    is_reference: bool
    best: frozenset[str]
    scored_on: str


def summarise(results: Sequence[MethodResult], *, reference: str | None) -> list[TableRow]:
    """The rows of a table, one a method, in the order in which the methods first appear.

    A method is best only if its paired 95 % interval against *each* other method lies above 0. Since all of these must
    hold at once, no correction for the number of comparisons is needed; where evidence is short, nobody is best.

    Args:
        results: Those at one setting, at most one for each method and seed.
        reference: Method that the others are compared with, or ``None`` for no comparison.

    Raises:
        ValueError: No results, several settings, results scored on different samples, a result given twice, an unknown
            reference, or a share that only some seeds of a method have.
    """
    by_method = _by_method(results)
    if reference is not None:
        _checks.one_of("reference", reference, by_method)
    values = {name: {method: _by_seed(name, runs) for method, runs in by_method.items()} for name in SHARES}
    rows = []
    for method, runs in by_method.items():
        spreads = {name: _spread(values[name][method]) for name in SHARES}
        compared = reference is not None and method != reference
        rows.append(
            TableRow(
                method=method,
                num_seeds=len(runs),
                shares=spreads,
                difference=_difference(values["accuracy"], method, reference) if compared else None,
                is_reference=method == reference,
                best=frozenset(name for name in ACCURACIES if _is_best(values[name], method)),
                scored_on=scored_on(runs),
            )
        )
    return rows


def _by_method(results: Sequence[MethodResult]) -> dict[str, list[MethodResult]]:
    if not results:
        raise ArgumentValueError("results", rule="hold at least one result", got="none")
    settings = sorted({result.setting for result in results})
    if len(settings) > 1:
        rule = "belong to one setting, since averages over settings mean nothing"
        raise ArgumentValueError("results", rule=rule, got=str(settings), way_out="Make one table for each.")
    bases = sorted({result.scored_on for result in results})
    if len(bases) > 1:
        rule, got = "be scored on the same samples", " and ".join(bases)
        raise ArgumentValueError("results", rule=rule, got=got, way_out="Make one table for each.")
    by_method: dict[str, list[MethodResult]] = {}
    seen = set()
    for result in results:
        if result.key in seen:
            rule, got = "hold each method and seed once", f"{result.method!r} with seed {result.seed} twice"
            raise ArgumentValueError("results", rule=rule, got=got, way_out="Drop one of the two.")
        seen.add(result.key)
        by_method.setdefault(result.method, []).append(result)
    return by_method


def _by_seed(name: str, runs: Sequence[MethodResult]) -> dict[int, float]:
    values = {run.seed: getattr(run, name) for run in runs}
    without = [seed for seed, value in values.items() if value is None]
    if without and len(without) < len(values):
        raise ArgumentValueError(
            name,
            rule="be given for every seed of a method or for none",
            got=f"none for seed {without[0]} of {runs[0].method!r}",
            way_out="Compute it, or drop it from the other seeds.",
        )
    return {} if without else values


def _spread(values: dict[int, float]) -> Spread | None:
    return Spread(mean=mean(values.values()), sd=sd(values.values())) if values else None


def _difference(values: dict[str, dict[int, float]], method: str, other: str | None) -> PairedDifference | None:
    if other is None or not values[method].keys() & values[other].keys():
        return None
    return paired_difference(values[method], values[other])


def _is_best(values: dict[str, dict[int, float]], method: str) -> bool:
    differences = [_difference(values, method, other) for other in values if other != method]
    return bool(differences) and all(difference and difference.is_above_zero for difference in differences)
