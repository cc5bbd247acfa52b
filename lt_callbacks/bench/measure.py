"""One transport problem, all its solvers: which meet the criterion, how exactly, and their times side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lt_callbacks._errors import ArgumentValueError, UserError
from lt_callbacks.bench.libraries import library_solvers
from lt_callbacks.bench.loops import NAIVE, loop_solvers, plain_sweeps
from lt_callbacks.bench.ours import our_solvers, solve
from lt_callbacks.bench.problems import (
    MOST_CLASSES_EXACT,
    Criterion,
    Problem,
    distance,
    exact_plan,
    judge,
    kernel_and_marginal,
)
from lt_callbacks.bench.solvers import Found, NotReached, Run, Solver, find
from lt_callbacks.bench.timing import TimingPlan, interleaved, ratio, summary

#: Iterations that our solver may take, which it ends by itself.
LIMIT = 10_000

Rows = dict[str, dict[str, Any]]


def measure(
    problem: Problem,
    plan: TimingPlan,
    *,
    criterion: Criterion,
    seed: int = 0,
    only: Sequence[str] = (),
    search_seconds: float = 60.0,
    default_limit: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Find how many iterations each solver needs on a problem, then time all solvers in turns.

    Args:
        problem: What is solved.
        plan: How it is timed.
        criterion: What has to be met.
        seed: Of the problem.
        only: Solvers whose names begin with one of these; none: all.
        search_seconds: For the search of a peer's number of iterations.
        default_limit: Sweeps after which our solver stops in additional rows, met or not; None: no such rows.
        say: Is told what is going on.
    """
    with warnings.catch_warnings():
        # Peers warn of what the criterion finds anyway.
        warnings.simplefilter("ignore")
        return _measure(problem, plan, criterion, seed, only, search_seconds, default_limit, say)


def _measure(
    problem: Problem,
    plan: TimingPlan,
    criterion: Criterion,
    seed: int,
    only: Sequence[str],
    search_seconds: float,
    default_limit: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    on_host = kernel_and_marginal(problem, seed=seed)
    exact = exact_plan(*on_host) if problem.num_classes <= MOST_CLASSES_EXACT else None
    log_kernel, marginal = (tensor.to(plan.device) for tensor in on_host)
    sweeps = plain_sweeps(log_kernel, marginal, criterion)
    solvers, lacking = solvers_for(plan.device, criterion, only)
    rows: Rows = {name: {"group": "ours", "not_timed": why} for name, why in lacking.items()}
    runs: dict[str, Run] = {}
    for solver in solvers:
        say(f"{problem.name}: {solver.name}")
        found = _found_or_reason(solver, log_kernel, marginal, criterion, sweeps, search_seconds)
        if isinstance(found, str):
            rows[solver.name] = {"group": solver.group, "not_timed": found}
            continue
        iterations = found.iterations
        if iterations is None:
            backend = solver.name.rpartition(" ")[2]
            iterations = int(solve(log_kernel, marginal, criterion, backend=backend, limit=LIMIT).iterations)
        runs[solver.name] = found.run
        rows[solver.name] = _row(solver, found, iterations, exact)
        if solver.bare_at is not None:
            name = f"{solver.name}, no copies"
            runs[name] = solver.bare_at(log_kernel, marginal)(iterations, found.is_normalised)
            rows[name] = {**rows[solver.name], "group": "extra"}
        if solver.group == "ours" and default_limit is not None:
            name = f"{solver.name}, {default_limit} sweeps at most"
            runs[name] = solver.at(log_kernel, marginal)(default_limit, False)
            verdict = judge(runs[name](), marginal, criterion)
            rows[name] = {"group": "extra", "column_error": verdict.column_error, "is_met": verdict.meets_criterion}
    say(f"{problem.name}: timing {len(runs)} solvers")
    for name, samples in interleaved(runs, plan).items():
        rows[name].update(summary(samples))
    return {
        "mode": problem.mode,
        "num_rows": problem.num_rows,
        "num_classes": problem.num_classes,
        "sharpness": problem.sharpness,
        "criterion": criterion.kind,
        "plain_sweeps": sweeps,
        "solvers": rows,
        "ratios": ratios(rows),
    }


def _found_or_reason(
    solver: Solver, log_kernel: Tensor, marginal: Tensor, criterion: Criterion, sweeps: int, search_seconds: float
) -> Found | str:
    """The solver at the iterations that it needs, or why it cannot be timed on this problem."""
    try:
        return find(
            solver, log_kernel, marginal, criterion, plain_sweeps=sweeps, limit=LIMIT, most_seconds=search_seconds
        )
    except NotReached as error:
        return str(error)
    except Exception as error:
        # A peer's own failure is a result, and so is ours to refuse a problem; a bug of ours is none.
        if solver.group == "ours" and not isinstance(error, UserError):
            raise
        what = str(error).partition("\n")[0]
        return what if isinstance(error, UserError) else f"{type(error).__name__}: {what}"


def solvers_for(device: str, criterion: Criterion, only: Sequence[str] = ()) -> tuple[list[Solver], dict[str, str]]:
    """All solvers of a device, and those of ours that this installation lacks, each with the reason.

    Raises:
        ValueError: ``only`` names a solver that there is not.
    """
    ours, lacking = our_solvers(device=device, criterion=criterion, only=only)
    every = [*ours, *library_solvers(device=device), *loop_solvers(device=device)]
    names = [solver.name for solver in every]
    unknown = [part for part in only if not any(name.startswith(part) for name in [*names, *lacking])]
    if unknown:
        raise ArgumentValueError(
            "--only",
            rule="be beginnings of names of solvers",
            got="; ".join(unknown),
            way_out=f"Installed: {'; '.join(names)}.",
        )
    chosen = [solver for solver in every if not only or solver.name.startswith(tuple(only))]
    return chosen, lacking


def ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How many times longer than each of our backends the best peer, library and floor and the naive loop take.

    The best is the one with the smallest median among those that meet the criterion; floors and extras are no peers.
    """
    timed = {name: row for name, row in rows.items() if "median_ms" in row}
    peers = {name: row for name, row in timed.items() if row["group"] in ("library", "loop")}
    kinds = {
        "best_peer": peers,
        "best_library": {name: row for name, row in peers.items() if row["group"] == "library"},
        "naive": {name: row for name, row in peers.items() if name == NAIVE},
        "floor": {name: row for name, row in timed.items() if row["group"] == "floor"},
    }
    found: dict[str, Any] = {}
    for name, row in timed.items():
        if row["group"] == "ours":
            found[name] = {}
            for kind, candidates in kinds.items():
                if candidates:
                    best = min(candidates, key=lambda candidate: candidates[candidate]["median_ms"])
                    found[name][kind] = {"name": best, **ratio(candidates[best], row)}
    return found


def _row(solver: Solver, found: Found, iterations: int, exact: Tensor | None) -> dict[str, Any]:
    gaps = {} if exact is None else distance(found.plan, exact)
    return {
        "group": solver.group,
        "iterations": iterations,
        "stops_itself": solver.finds_count,
        "rows_normalised": found.is_normalised,
        "column_error": found.verdict.column_error,
        "row_error": found.verdict.row_error,
        **{f"distance_{name}": value for name, value in gaps.items()},
    }
