"""What a timed solver is, and the smallest number of iterations at which one meets the criterion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lt_callbacks.bench.problems import Criterion, Verdict, judge

Run = Callable[[], Tensor]

#: (iterations, whether rows are normalised at the end) to a call that gives the (N, C) plan.
AtCount = Callable[[int, bool], Run]

#: Kinds of solver, in the order of the tables.
GROUPS = ("ours", "library", "loop", "floor", "extra")


@dataclass(frozen=True, kw_only=True)
class Solver:
    """One way to solve a transport problem, torch tensors in and out.

    Attributes:
        name: In tables.
        group: ``"ours"``; ``"library"``: a published solver; ``"loop"``: a few lines as people write them; ``"floor"``:
            our own form of a sweep without any test, which shows what the tests cost, and is no peer; ``"extra"``:
            shown, but no peer.
        at: Log kernel and class marginal to a function of the number of iterations. What it prepares itself is outside
            the timing.
        bare_at: The same without what passing torch tensors costs; timed at the same number, as an "extra".
        finds_count: Whether it stops at the criterion by itself, within the timing; the number is then only a limit.
        is_plain: Whether it needs as many sweeps as textbook Sinkhorn; a hint for the search.
        most: Iterations that are tried at most, as a multiple of the plain number of sweeps, but 1500 at least.
    """

    name: str
    group: str
    at: Callable[[Tensor, Tensor], AtCount]
    bare_at: Callable[[Tensor, Tensor], AtCount] | None = None
    finds_count: bool = False
    is_plain: bool = True
    most: float = 2.0


@dataclass(frozen=True)
class Found:
    """A solver that meets the criterion on a problem, ready to be timed.

    Attributes:
        run: Gives the plan.
        iterations: As the solver counts them; None where it finds them itself.
        is_normalised: Whether it needs its rows normalised to meet the criterion, within the timing.
        plan: Which was judged.
        verdict: In float64.
    """

    run: Run
    iterations: int | None
    is_normalised: bool
    plan: Tensor
    verdict: Verdict


class NotReached(Exception):
    """A solver does not meet the criterion; the message says how near it came."""


def find(
    solver: Solver,
    log_kernel: Tensor,
    class_marginal: Tensor,
    criterion: Criterion,
    *,
    plain_sweeps: int,
    most_seconds: float = 60.0,
    limit: int = 10_000,
) -> Found:
    """The solver at the smallest number of iterations (within 1 %) at which float64 finds its plan good enough.

    Args:
        solver: The solver.
        log_kernel: (N, C) float32.
        class_marginal: (C,) float32.
        criterion: What has to be met.
        plain_sweeps: What textbook Sinkhorn needs; where the search begins.
        most_seconds: Of the search.
        limit: Iterations given to a solver that finds the number itself.

    Raises:
        NotReached: No number of iterations that was tried is enough.
    """
    at = solver.at(log_kernel, class_marginal)
    if solver.finds_count:
        run = at(limit, False)
        plan = run()
        verdict = judge(plan, class_marginal, criterion)
        if not verdict.meets_criterion:
            raise NotReached(_shortfall(verdict, "by its own stopping rule"))
        return Found(run, None, False, plan, verdict)

    tried: dict[int, Verdict] = {}
    ends = time.monotonic() + most_seconds

    def is_enough(count: int) -> bool:
        if count not in tried:
            tried[count] = judge(at(count, True)(), class_marginal, criterion)
        return tried[count].meets_criterion

    count = _smallest(is_enough, solver, plain_sweeps, ends)
    if count is None:
        best = min(tried.values(), key=lambda verdict: verdict.column_error)
        why = " (search stopped by time)" if time.monotonic() > ends else ""
        raise NotReached(_shortfall(best, f"in up to {max(tried)} iterations{why}"))
    # Rows that are exact anyway need no normalisation, which may have moved the columns by a rounding error.
    for exact in range(count, count + 2 + count // 50):
        run = at(exact, False)
        plan = run()
        verdict = judge(plan, class_marginal, criterion)
        if verdict.meets_criterion:
            return Found(run, exact, False, plan, verdict)
        if not verdict.has_exact_rows:
            break
    run = at(count, True)
    plan = run()
    return Found(run, count, True, plan, judge(plan, class_marginal, criterion))


def _smallest(is_enough: Callable[[int], bool], solver: Solver, plain_sweeps: int, ends: float) -> int | None:
    most = max(1500, int(solver.most * plain_sweeps))
    if solver.is_plain and is_enough(plain_sweeps):
        if plain_sweeps == 1 or not is_enough(plain_sweeps - 1):
            return plain_sweeps
        too_few, enough = 0, plain_sweeps - 1
    else:
        # From below: errors of accelerated methods do not fall in every iteration.
        too_few, enough = 0, 0
        count = plain_sweeps + 1 if solver.is_plain else 1
        while not enough:
            if count > most or time.monotonic() > ends:
                return None
            if is_enough(count):
                enough = count
            else:
                too_few, count = count, max(count + 1, int(1.4 * count))
    while enough - too_few > max(1, enough // 100) and time.monotonic() < ends:
        middle = (too_few + enough) // 2
        if is_enough(middle):
            enough = middle
        else:
            too_few = middle
    return enough


def _shortfall(verdict: Verdict, how: str) -> str:
    if verdict.column_error == float("inf"):
        return f"not finite {how}"
    return f"column error {verdict.column_error:.1e}, row error {verdict.row_error:.1e} {how}"


def normalised(plan: Tensor, is_asked: bool) -> Tensor:
    """``plan`` with its rows divided by their sums, if that is asked for."""
    return plan / plan.sum(dim=1, keepdim=True) if is_asked else plan
