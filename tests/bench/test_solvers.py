from functools import partial

import pytest
import torch

from lt_callbacks.bench.loops import naive_log, plain_sweeps
from lt_callbacks.bench.problems import Criterion, Problem, exact_plan, judge, kernel_and_marginal
from lt_callbacks.bench.solvers import NotReached, Solver, find

CRITERION = Criterion()
PROBLEM = kernel_and_marginal(Problem("corr", 64, 8, 3.0))


def solver(at, **changes):
    return Solver(**{"name": "tried", "group": "library", "at": at, **changes})


def found(tried, *, sweeps=None):
    sweeps = plain_sweeps(*PROBLEM, CRITERION) if sweeps is None else sweeps
    return find(tried, *PROBLEM, CRITERION, plain_sweeps=sweeps)


def test_the_smallest_number_of_iterations_is_found_wherever_the_search_begins():
    needed = plain_sweeps(*PROBLEM, CRITERION)
    for start, is_plain in ((needed, True), (1, True), (3 * needed, True), (needed, False)):
        reached = found(solver(naive_log, is_plain=is_plain), sweeps=start)
        assert reached.verdict.meets_criterion
        assert reached.iterations == pytest.approx(needed, abs=1)
        fewer = naive_log(*PROBLEM)(reached.iterations - 1, True)()
        assert not judge(fewer, PROBLEM[1], CRITERION).meets_criterion
        assert torch.equal(reached.run(), reached.plan)


def test_a_solver_that_says_it_is_done_and_is_not_is_refused():
    """The plan is judged in float64 whatever the solver claims."""

    def stops_at_once(log_kernel, class_marginal):
        return lambda limit, normalise: partial(torch.softmax, log_kernel, 1)

    with pytest.raises(NotReached, match=r"column error \d.* by its own stopping rule"):
        found(solver(stops_at_once, finds_count=True))
    with pytest.raises(NotReached, match=r"column error \d.* in up to \d+ iterations"):
        found(solver(stops_at_once))


def test_exact_columns_with_wrong_rows_are_refused_where_the_solver_stops_itself():
    def columns_only(log_kernel, class_marginal):
        kernel = log_kernel.exp()
        return lambda limit, normalise: lambda: kernel * (class_marginal / kernel.sum(dim=0))

    with pytest.raises(NotReached, match="row error"):
        found(solver(columns_only, finds_count=True))


def test_a_solver_that_overflows_is_not_finite():
    def overflows(log_kernel, class_marginal):
        return lambda count, normalise: lambda: log_kernel.exp() * torch.inf

    with pytest.raises(NotReached, match="not finite"):
        found(solver(overflows))


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_rows_are_normalised_within_the_timing_only_where_that_is_needed(factor):
    asked = []

    def scaled(log_kernel, class_marginal):
        plan = exact_plan(log_kernel, class_marginal).float()

        def at(count, normalise):
            def run():
                asked.append(normalise)
                rows = plan * (factor if count < 100 else 1.0)
                return rows / rows.sum(dim=1, keepdim=True) if normalise else rows

            return run

        return at

    reached = found(solver(scaled))
    assert reached.is_normalised == (factor != 1.0)
    asked.clear()
    reached.run()
    assert asked == [factor != 1.0]


def test_a_search_ends_with_its_time():
    def never(log_kernel, class_marginal):
        return lambda count, normalise: partial(torch.softmax, log_kernel, 1)

    with pytest.raises(NotReached, match="stopped by time"):
        find(solver(never), *PROBLEM, CRITERION, plain_sweeps=5, most_seconds=0.0)
