from __future__ import annotations

import math

import pytest
import torch
from reference import problem, reference_plan

from lt_callbacks.transport.log_domain import solve_in_log_domain

SETTINGS = {"tolerance": 1e-12, "relative": False, "max_iterations": 500, "accelerate": True, "stop_early": True}


@pytest.mark.parametrize("accelerate", [True, False])
def test_two_by_two_has_a_closed_form(accelerate):
    """[[x, 1 - x], [b - x, 1 - b + x]] keeps the odds ratio of the kernel: a quadratic equation in x."""
    kernel = torch.tensor([[4.0, 1.0], [3.0, 2.0]], dtype=torch.float64)
    b, odds = 0.6, 4.0 * 2.0 / (1.0 * 3.0)
    # x (1 - b + x) = odds (1 - x)(b - x)
    square, linear, constant = 1 - odds, 1 - b + odds * (1 + b), -odds * b
    x = (-linear + math.sqrt(linear**2 - 4 * square * constant)) / (2 * square)
    expected = torch.tensor([[x, 1 - x], [b - x, 1 - b + x]], dtype=torch.float64)
    marginal = torch.tensor([b, 2 - b], dtype=torch.float64)
    result = solve_in_log_domain(kernel.log(), marginal, **{**SETTINGS, "accelerate": accelerate})
    torch.testing.assert_close(result.plan, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("relative", [True, False])
def test_a_row_that_is_no_distribution_is_absent_and_harms_no_other(poison, relative):
    log_kernel, marginal = problem(40, 6, 3.0)
    poisoned = log_kernel.clone()
    poisoned[7] = poison
    if not math.isinf(poison) or poison > 0:
        poisoned[7, 1:] = 0.0  # one bad entry is enough
    kept = torch.arange(40) != 7
    got = solve_in_log_domain(poisoned, marginal, **{**SETTINGS, "relative": relative})
    alone = solve_in_log_domain(log_kernel[kept], marginal, **{**SETTINGS, "relative": relative})
    assert bool((got.plan[7] == 0).all())
    torch.testing.assert_close(got.plan[kept], alone.plan, atol=1e-9, rtol=0)
    torch.testing.assert_close(got.marginal_error, alone.marginal_error, atol=1e-9, rtol=0)


def test_a_row_that_only_allows_closed_classes_is_absent():
    log_kernel, marginal = problem(40, 6, 3.0)
    marginal[:2] = 0
    log_kernel[5, 2:] = -torch.inf
    plan = solve_in_log_domain(log_kernel, marginal, **SETTINGS).plan
    assert bool((plan[5] == 0).all())
    kept = torch.arange(40) != 5
    torch.testing.assert_close(
        plan[kept][:, 2:], reference_plan(log_kernel[kept][:, 2:], marginal[2:]), atol=1e-6, rtol=0
    )


def test_the_relative_error_leaves_closed_classes_out():
    log_kernel, marginal = problem(40, 6, 3.0)
    marginal[3] = 0
    result = solve_in_log_domain(log_kernel, marginal, **{**SETTINGS, "relative": True, "max_iterations": 3})
    target = marginal * 40 / marginal.sum()
    is_open = target > 0
    expected = ((result.plan.sum(0) - target).abs()[is_open] / target[is_open]).max()
    assert float(result.marginal_error) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("scale", "share"), [(0.5, 1.5), (3.0, 0.5), (8.0, 0.35), (16.0, 0.25)])
def test_momentum_saves_sweeps_and_the_restart_keeps_it_from_going_back_and_forth(scale, share):
    """Without the restart it needs 97 sweeps of the plain 86 at scale 3, and 347 of 410 at scale 8."""
    log_kernel, marginal = problem(128, 10, scale)
    settings = {**SETTINGS, "tolerance": 1e-8, "max_iterations": 5000}
    fast, plain = (
        int(solve_in_log_domain(log_kernel, marginal, **{**settings, "accelerate": on}).iterations)
        for on in (True, False)
    )
    assert fast <= share * plain


def test_sweeps_go_on_to_the_limit_where_the_error_stays_above_the_tolerance():
    log_kernel, marginal = problem(64, 10, 8.0)
    for stop_early in (True, False):
        result = solve_in_log_domain(
            log_kernel, marginal, **{**SETTINGS, "max_iterations": 7, "stop_early": stop_early}
        )
        assert int(result.iterations) == 7
        assert float(result.marginal_error) > 1e-12


@pytest.mark.parametrize("num_classes", [0, 3])
def test_nothing_gives_nothing(num_classes):
    result = solve_in_log_domain(torch.zeros(0, num_classes), torch.zeros(num_classes), **SETTINGS)
    assert result.plan.shape == (0, num_classes)
    assert float(result.marginal_error) == 0


@pytest.mark.parametrize(("num_classes", "scale"), [(20, 8.0), (7, 40.0), (30, 40.0)])
@pytest.mark.parametrize("relative", [False, True])
def test_the_loop_without_a_host_test_makes_the_same_sweeps(num_classes, scale, relative):
    """The GPU's loop: nothing is read on the host, and sweeps after convergence change nothing."""
    log_kernel, marginal = problem(128, num_classes, scale)
    log_kernel[3] = torch.nan
    marginal[2] = 0
    settings = {"tolerance": 1e-3, "relative": relative, "max_iterations": 1000, "accelerate": True}
    early, full = (solve_in_log_domain(log_kernel, marginal, stop_early=stop, **settings) for stop in (True, False))
    assert 10 < int(early.iterations) < 1000
    assert int(early.iterations) == int(full.iterations)
    torch.testing.assert_close(early.plan, full.plan, atol=1e-10, rtol=0)
    torch.testing.assert_close(early.marginal_error, full.marginal_error, atol=1e-10, rtol=0)


@pytest.mark.parametrize("relative", [False, True])
def test_the_loop_without_a_host_test_survives_scalings_beyond_an_exponential(relative):
    log_kernel, marginal = problem(128, 30, 60.0)
    settings = {"tolerance": 1e-3, "relative": relative, "max_iterations": 400, "accelerate": True}
    result = solve_in_log_domain(log_kernel, marginal, stop_early=False, **settings)
    assert float(result.log_class_scaling.max() - result.log_class_scaling.min()) > 100
    assert float(result.marginal_error) <= 1e-3


def test_the_loop_without_a_host_test_reads_nothing_on_the_host():
    result = solve_in_log_domain(
        torch.zeros(6, 3, device="meta"), torch.ones(3, device="meta"), **{**SETTINGS, "stop_early": False}
    )
    assert result.plan.is_meta


@pytest.mark.parametrize("max_iterations", [1, 2, 3, 11, 12])
def test_sweeps_up_to_the_limit(max_iterations):
    log_kernel, marginal = problem(128, 20, 8.0)
    for stop_early in (True, False):
        settings = {**SETTINGS, "max_iterations": max_iterations, "stop_early": stop_early}
        result = solve_in_log_domain(log_kernel, marginal, **settings)
        assert torch.allclose(result.plan.sum(1), torch.ones(128, dtype=torch.float64), atol=1e-12)
        expected = (result.plan.sum(0) - marginal).abs().sum() / 128
        assert float(result.marginal_error) == pytest.approx(float(expected), rel=1e-9)
        assert int(result.iterations) == max_iterations


def test_one_plain_sweep_is_the_textbook_sweep():
    log_kernel, marginal = problem(64, 7, 2.0)
    kernel = log_kernel.exp()
    v = 1 / kernel.sum(1)
    u = marginal / (kernel * v[:, None]).sum(0)
    scaled = kernel * u
    result = solve_in_log_domain(log_kernel, marginal, **{**SETTINGS, "max_iterations": 1, "accelerate": False})
    assert torch.allclose(result.plan, scaled / scaled.sum(1, keepdim=True), atol=1e-12)


def test_a_sweep_lowers_the_error():
    log_kernel, marginal = problem(128, 10, 8.0)
    errors = [
        float(solve_in_log_domain(log_kernel, marginal, **{**SETTINGS, "max_iterations": k}).marginal_error)
        for k in (1, 5, 20)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
