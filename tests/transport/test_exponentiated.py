from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import problem, reference_plan

from lt_callbacks.transport.exponentiated import solve_exponentiated
from lt_callbacks.transport.log_domain import solve_in_log_domain

SETTINGS = {"tolerance": 1e-5, "relative": False, "max_iterations": 5000, "accelerate": True}
WAYS = ["plain_python", "compiled"]


@pytest.fixture(params=WAYS)
def compiled(request):
    if request.param == "compiled":
        pytest.importorskip("numba", reason="the extra `numba` is not installed")
    return request.param == "compiled"


def run(log_kernel, marginal, *, compiled=False, **settings):
    b = (marginal * (len(log_kernel) / marginal.sum())).numpy()
    if compiled:
        from lt_callbacks.transport.compiled import solve_compiled as solve_on_cpu
    else:
        solve_on_cpu = solve_exponentiated
    return solve_on_cpu(log_kernel, b, **{**SETTINGS, **settings})


def true_error(plan, marginal, *, relative):
    plan, b = plan.double(), marginal.double()
    residual = (plan.sum(0) - b * (len(plan) / b.sum())).abs()
    return float((residual / b).max()) if relative else float(residual.sum()) / len(plan)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("scale", [0.5, 3.0, 8.0])
@pytest.mark.parametrize(
    ("num_rows", "num_classes"), [(1, 10), (3, 2), (37, 1), (128, 10), (61, 33), (96, 100), (130, 365)]
)
def test_the_plan_is_the_float64_reference_within_the_tolerance(num_rows, num_classes, scale, relative, compiled):
    log_kernel, marginal = problem(num_rows, num_classes, scale)
    rows, b = log_kernel.float(), marginal.float()
    tolerance = 1e-4 if relative else 1e-5
    result = run(rows, b, compiled=compiled, relative=relative, tolerance=tolerance)
    assert result is not None
    assert float(result.marginal_error) <= tolerance
    assert float(result.marginal_error) == pytest.approx(true_error(result.plan, b, relative=relative), abs=5e-6)
    assert float((result.plan - reference_plan(log_kernel, marginal)).abs().sum(1).mean()) <= 2e-3
    torch.testing.assert_close(result.plan.sum(1), torch.ones(num_rows), atol=2e-6, rtol=0)
    torch.testing.assert_close(result.plan, torch.softmax(rows + result.log_class_scaling, 1), atol=1e-5, rtol=0)
    assert result.plan.dtype == result.log_class_scaling.dtype == result.marginal_error.dtype == torch.float32
    assert result.iterations.dtype == torch.int64
    assert 1 <= int(result.iterations) < 5000


def test_float64_goes_to_the_end(compiled):
    log_kernel, marginal = problem(64, 12, 6.0)
    result = run(log_kernel, marginal, compiled=compiled, tolerance=1e-11)
    assert result.plan.dtype == torch.float64
    torch.testing.assert_close(result.plan, reference_plan(log_kernel, marginal), atol=1e-6, rtol=0)
    assert true_error(result.plan, marginal, relative=False) <= 2e-11


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 12])
def test_without_acceleration_they_are_the_textbook_sweeps_up_to_the_limit(limit, compiled):
    log_kernel, marginal = problem(48, 9, 4.0)
    kernel, u = log_kernel.exp(), torch.ones(9, dtype=torch.float64)
    for _ in range(limit):
        v = 1 / (kernel @ u)
        u = marginal / (kernel.T @ v)
    expected = kernel * u / (kernel @ u)[:, None]
    result = run(log_kernel, marginal, compiled=compiled, tolerance=1e-15, max_iterations=limit, accelerate=False)
    torch.testing.assert_close(result.plan, expected, atol=1e-12, rtol=0)
    assert int(result.iterations) == limit
    assert float(result.marginal_error) == pytest.approx(true_error(expected, marginal, relative=False), rel=1e-9)


@pytest.mark.parametrize("limit", [1, 2, 5, 8, 9, 10])
@pytest.mark.parametrize("num_classes", [10, 300])
def test_the_limit_holds_in_every_phase_and_the_error_is_that_of_the_plan(limit, num_classes, compiled):
    log_kernel, marginal = problem(64, num_classes, 12.0)
    result = run(log_kernel, marginal, compiled=compiled, tolerance=1e-14, max_iterations=limit)
    assert int(result.iterations) == limit
    assert float(result.marginal_error) == pytest.approx(true_error(result.plan, marginal, relative=False), rel=1e-6)


def test_few_classes_take_newton_steps_and_many_take_momentum():
    for num_classes, most in ((10, 14), (300, 70)):
        log_kernel, marginal = (values.float() for values in problem(128, num_classes, 8.0))
        plain = run(log_kernel, marginal, tolerance=1e-3, relative=True, accelerate=False)
        fast = run(log_kernel, marginal, tolerance=1e-3, relative=True)
        assert int(fast.iterations) <= most
        assert int(plain.iterations) > 3 * int(fast.iterations)


@pytest.mark.parametrize(("num_rows", "num_classes", "sweeps"), [(64, 10, 3), (128, 100, 2), (1024, 100, 1)])
def test_an_easy_problem_is_left_at_the_first_look_which_comes_sooner_where_sweeps_cost_more(
    num_rows, num_classes, sweeps
):
    log_kernel, marginal = (values.float() for values in problem(num_rows, num_classes, 0.2))
    assert int(run(log_kernel, marginal, tolerance=1e-2).iterations) == sweeps


def test_compiled_momentum_saves_sweeps():
    pytest.importorskip("numba", reason="the extra `numba` is not installed")
    log_kernel, marginal = (values.float() for values in problem(128, 100, 8.0))
    plain = run(log_kernel, marginal, compiled=True, tolerance=1e-3, accelerate=False)
    fast = run(log_kernel, marginal, compiled=True, tolerance=1e-3)
    assert int(fast.iterations) < int(plain.iterations) / 2


@pytest.mark.parametrize("offset", [1e3, -1e3, 3e4])
def test_constants_of_rows_change_nothing_however_large(offset, compiled):
    log_kernel, marginal = problem(40, 12, 3.0)
    shift = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None] * offset
    expected = run(log_kernel, marginal, tolerance=1e-9).plan
    torch.testing.assert_close(
        run(log_kernel + shift, marginal, compiled=compiled, tolerance=1e-9).plan, expected, atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("offset", [-75.0, -80.0, -85.0])
def test_rows_of_which_single_weights_underflow_keep_their_digits(offset, compiled):
    log_kernel, marginal = problem(40, 12, 3.0)
    log_kernel[:, 4] -= 20.0
    shifted = log_kernel.float() + torch.linspace(0, 1, 40)[:, None] * offset
    plan = run(shifted, marginal.float(), compiled=compiled, tolerance=1e-6).plan
    torch.testing.assert_close(plan.double(), reference_plan(log_kernel, marginal), atol=2e-5, rtol=0)


def test_a_class_whose_every_weight_underflows_gets_its_mass(compiled):
    log_kernel, marginal = problem(40, 6, 2.0)
    log_kernel[:, 4] -= 200.0
    result = run(log_kernel.float(), marginal.float(), compiled=compiled)
    assert float(result.plan[:, 4].sum()) == pytest.approx(float(marginal[4]), rel=1e-3)
    torch.testing.assert_close(result.plan.double(), reference_plan(log_kernel, marginal), atol=1e-3, rtol=0)


def test_forbidden_pairs_stay_empty(compiled):
    log_kernel, marginal = problem(40, 6, 2.0)
    log_kernel[torch.arange(40), torch.arange(40) % 6] = -torch.inf
    plan = run(log_kernel.float(), marginal.float(), compiled=compiled).plan
    assert bool((plan[torch.arange(40), torch.arange(40) % 6] == 0).all())
    assert true_error(plan, marginal, relative=False) <= 2e-5


def absent_row(rows):
    rows[3] = -torch.inf


def not_a_number(rows):
    rows[3, 2] = torch.nan


def infinite(rows):
    rows[3, 2] = torch.inf


def empty_class(rows):
    rows[:, 2] = -torch.inf


@pytest.mark.parametrize("spoil", [absent_row, not_a_number, infinite, empty_class])
def test_what_has_no_exponential_is_left_to_the_log_domain(spoil, compiled):
    log_kernel, marginal = (values.float() for values in problem(24, 5, 2.0))
    spoil(log_kernel)
    assert run(log_kernel, marginal, compiled=compiled) is None


@pytest.mark.parametrize("scale", [30.0, 100.0, 1000.0])
@pytest.mark.parametrize("num_classes", [10, 100, 300])
def test_whatever_the_scale_the_answer_is_right_or_there_is_none(scale, num_classes, compiled):
    log_kernel, marginal = (values.float() for values in problem(100, num_classes, scale))
    result = run(log_kernel, marginal, compiled=compiled, tolerance=1e-3, max_iterations=3000)
    if result is not None and float(result.marginal_error) <= 1e-3:
        assert bool(result.plan.isfinite().all())
        assert true_error(result.plan, marginal, relative=False) <= 1.1e-3
        through_logs = torch.softmax(log_kernel.double() + result.log_class_scaling.double(), 1)
        assert float((result.plan - through_logs).abs().sum(1).max()) <= 1e-3


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("num_classes", "scale"), [(10, 64.0), (100, 32.0), (40, 50.0)])
def test_scalings_wider_than_an_exponential_are_absorbed(num_classes, scale, relative, compiled):
    log_kernel, marginal = (values.float() for values in problem(100, num_classes, scale))
    result = run(log_kernel, marginal, compiled=compiled, tolerance=1e-3, relative=relative, max_iterations=1000)
    assert float(result.log_class_scaling.max() - result.log_class_scaling.min()) > 60
    assert int(result.iterations) < 1000
    assert true_error(result.plan, marginal, relative=relative) <= 1.1e-3
    torch.testing.assert_close(result.plan.sum(1), torch.ones(100), atol=2e-6, rtol=0)
    through_logs = torch.softmax(log_kernel.double() + result.log_class_scaling.double(), 1)
    assert float((result.plan - through_logs).abs().sum(1).max()) <= 1e-3


@pytest.mark.parametrize("limit", [20, 41, 60])
def test_the_limit_holds_where_scalings_are_absorbed(limit, compiled):
    log_kernel, marginal = problem(100, 100, 64.0)
    result = run(log_kernel.float(), marginal.float(), compiled=compiled, tolerance=1e-7, max_iterations=limit)
    assert int(result.iterations) == limit
    expected = true_error(result.plan, marginal, relative=False)
    assert float(result.marginal_error) == pytest.approx(expected, rel=1e-3)


def test_the_compiled_exponential_is_one():
    pytest.importorskip("numba", reason="the extra `numba` is not installed")
    from lt_callbacks.transport.compiled import _EXP2, _exponential

    values = np.concatenate([np.linspace(-87.3, 87.9, 100_003), np.linspace(-1, 1, 10_007), [0.0]]).astype(np.float32)
    found = np.empty((1, len(values)), np.float32)
    _exponential(values[None], found, _EXP2)
    expected = np.exp(values.astype(np.float64))
    # The product with log2(e) is rounded: an error of 2^-24 |x|.
    assert (np.abs(found[0] / expected - 1) <= 4e-7 + np.abs(values) * 1.2e-7).all()
    odd = np.array([[-np.inf, -1e30, -200.0, -88.0, 88.8, 1e30, np.inf, np.nan]], np.float32)
    found = np.empty_like(odd)
    _exponential(odd, found, _EXP2)
    assert (found[0, :4] == 0).all()
    assert np.isnan(found[0, 4:]).all()


def test_the_input_is_left_alone(compiled):
    log_kernel, marginal = (values.float() for values in problem(24, 5, 6.0))
    before = log_kernel.clone(), marginal.clone()
    run(log_kernel, marginal, compiled=compiled)
    assert torch.equal(log_kernel, before[0])
    assert torch.equal(marginal, before[1])


def test_both_ways_and_the_log_domain_agree(compiled):
    for seed in range(20):
        log_kernel, marginal = problem(50, 20, 5.0, seed=seed)
        got = run(log_kernel, marginal, compiled=compiled, tolerance=1e-9)
        settings = {**SETTINGS, "tolerance": 1e-9}
        expected = solve_in_log_domain(log_kernel, marginal, stop_early=True, **settings)
        torch.testing.assert_close(got.plan, expected.plan, atol=1e-6, rtol=0)


def test_no_warning_leaves_when_numbers_leave_their_range(compiled, recwarn):
    log_kernel, marginal = (values.float() for values in problem(60, 8, 300.0))
    run(log_kernel, marginal, compiled=compiled, max_iterations=200)
    run(log_kernel + 500.0, marginal, compiled=compiled)
    log_kernel[2, 3] = torch.inf
    run(log_kernel, marginal, compiled=compiled)
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]
    assert np.geterr()["over"] == "warn"
