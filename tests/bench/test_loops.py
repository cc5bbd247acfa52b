import shutil

import pytest
import torch

from lt_callbacks.bench.loops import COMPILED_SWEEPS, compiled_log, loop_solvers, naive_log, plain_sweeps
from lt_callbacks.bench.problems import Criterion, Problem, exact_plan, judge, kernel_and_marginal

PROBLEM = Problem("corr", 48, 7, 3.0)
LOOPS = [solver for solver in loop_solvers(device="cpu") if "compile" not in solver.name]


@pytest.mark.parametrize("solver", LOOPS, ids=lambda solver: solver.name)
def test_loops_converge_to_the_exact_plan_with_exact_rows(solver):
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    before = log_kernel.clone()
    plan = solver.at(log_kernel, marginal)(400, False)()
    assert judge(plan, marginal, Criterion(tolerance=1e-5)).meets_criterion
    assert float((plan.double() - exact_plan(log_kernel, marginal)).abs().max()) < 1e-4
    assert torch.equal(log_kernel, before)


@pytest.mark.parametrize("solver", LOOPS, ids=lambda solver: solver.name)
def test_textbook_sweeps_are_as_many_in_each_loop(solver):
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    needed = plain_sweeps(log_kernel, marginal, Criterion())
    assert needed > 3
    errors = [
        judge(solver.at(log_kernel, marginal)(count, False)(), marginal, Criterion()).column_error
        for count in (needed - 2, needed + 1)
    ]
    assert errors[0] > 1e-3 >= errors[1]


def test_only_tensors_that_numpy_can_view_are_given_to_it():
    assert "matvec numpy" not in [solver.name for solver in loop_solvers(device="cuda")]


def test_a_criterion_that_is_not_met_ends_at_the_limit():
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    assert plain_sweeps(log_kernel, marginal, Criterion(tolerance=0.0), most=7) == 7


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a compiler")
def test_the_compiled_loop_does_the_same():
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    count = 2 * COMPILED_SWEEPS + 2
    plans = [at(log_kernel, marginal)(count, False)() for at in (naive_log, compiled_log)]
    assert torch.allclose(*plans, atol=1e-6)
