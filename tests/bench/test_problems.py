import math

import pytest
import torch

from lt_callbacks.bench.problems import (
    Criterion,
    Problem,
    all_problems,
    distance,
    exact_plan,
    judge,
    kernel_and_marginal,
    parse_problem,
)

SMALL = Problem("corr", 32, 6, 3.0)


def test_the_full_table_has_24_problems_whose_names_are_read_back():
    problems = all_problems()
    assert len({problem.name for problem in problems}) == 24
    assert [parse_problem(problem.name) for problem in problems] == problems


@pytest.mark.parametrize(
    "text", ["corr:128x10", "corr:128:3", "mild:128x10:3", "corr:0x10:3", "corr:8x1:3", "corr:8x4:0"]
)
def test_a_problem_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"`--problems` must be names MODE:NxC:S"):
        parse_problem(text)


@pytest.mark.parametrize("mode", ["random", "corr"])
def test_a_problem_is_a_kernel_of_log_probabilities_and_a_marginal_of_as_much_mass(mode):
    log_kernel, marginal = kernel_and_marginal(Problem(mode, 200, 10, 3.0))
    assert log_kernel.dtype == marginal.dtype == torch.float32
    # The geometric mean of two distributions has at most their mass.
    assert float(log_kernel.exp().sum(dim=1).max()) <= 1 + 1e-5
    assert float(marginal.sum()) == pytest.approx(200, rel=1e-5)
    assert float(marginal.max() / marginal.min()) > 5


def test_a_random_marginal_is_the_long_tail_itself():
    _, marginal = kernel_and_marginal(Problem("random", 100, 5, 1.0))
    assert float(marginal[0] / marginal[4]) == pytest.approx(100, rel=1e-4)


def test_seeds_and_sharpness_change_the_problem():
    first = kernel_and_marginal(SMALL)[0]
    assert torch.equal(first, kernel_and_marginal(SMALL)[0])
    assert not torch.equal(first, kernel_and_marginal(SMALL, seed=1)[0])
    assert float(kernel_and_marginal(Problem("corr", 32, 6, 8.0))[0].std()) > 2 * float(first.std())


@pytest.mark.parametrize("sharpness", [1.0, 8.0, 64.0])
@pytest.mark.parametrize("mode", ["random", "corr"])
def test_the_exact_plan_has_both_marginals_and_the_form_of_a_solution(mode, sharpness):
    log_kernel, marginal = kernel_and_marginal(Problem(mode, 64, 12, sharpness))
    plan = exact_plan(log_kernel, marginal)
    b = marginal.double() * (64 / marginal.double().sum())
    assert float(((plan.sum(dim=0) - b).abs() / b).max()) <= 1e-9
    assert torch.allclose(plan.sum(dim=1), torch.ones(64, dtype=torch.float64))
    # diag(v) exp(L) diag(u): what is left after the kernel has no interaction of rows and columns.
    is_seen = plan > 1e-200
    scaling = torch.where(is_seen, plan.clamp_min(1e-300).log() - log_kernel.double(), torch.nan)
    gaps = scaling[:, 1:] - scaling[:, :-1]
    assert float((gaps - gaps.nanmean(dim=0)).abs().nan_to_num(0.0).max()) < 1e-6


def test_the_exact_plan_is_refused_where_it_is_not_found():
    log_kernel = torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])
    with pytest.raises(RuntimeError, match="float64 solution was not found"):
        exact_plan(log_kernel, torch.tensor([1.0, 1.0]))


def test_the_verdict_is_that_of_float64_by_both_criteria():
    plan, marginal = torch.tensor([[0.5, 0.5], [0.75, 0.25]]), torch.tensor([1.0, 1.0])
    assert judge(plan, marginal, Criterion()).column_error == pytest.approx(0.25)
    assert judge(plan, marginal, Criterion(kind="total_variation")).column_error == pytest.approx(0.25)
    skewed = torch.tensor([1.24, 0.76])
    assert judge(plan, skewed, Criterion()).column_error == pytest.approx(0.01 / 0.76, rel=1e-4)
    assert judge(plan, skewed, Criterion(kind="total_variation")).column_error == pytest.approx(0.01, rel=1e-4)
    assert judge(plan, torch.tensor([1.25, 0.75]), Criterion()).meets_criterion
    assert not judge(plan, skewed, Criterion()).meets_criterion


def test_rows_that_are_not_exact_meet_nothing():
    plan = torch.tensor([[0.5, 0.5], [0.75, 0.25]]) * 1.01
    verdict = judge(plan, plan.sum(dim=0), Criterion())
    assert verdict.column_error < 1e-6
    assert not verdict.has_exact_rows
    assert not verdict.meets_criterion


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.5])
def test_a_plan_that_is_none_is_infinitely_wrong(wrong):
    plan = torch.tensor([[0.5, 0.5], [wrong, 1.0]])
    assert judge(plan, torch.tensor([1.0, 1.0]), Criterion()).column_error == math.inf


def test_a_plan_in_another_precision_is_refused():
    with pytest.raises(TypeError, match="`plan` must be a float32 tensor; got torch.float64"):
        judge(torch.ones(2, 2).double(), torch.ones(2), Criterion())


def test_distances_are_the_largest_entry_and_the_mean_row():
    gaps = distance(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.4, 0.6], [1.0, 0.0]]).double())
    assert gaps["max_entry"] == pytest.approx(0.1)
    assert gaps["mean_row_l1"] == pytest.approx(0.1)
