import pytest
import torch
from reference import problem, reference_plan

from lt_callbacks.transport import sinkhorn


@pytest.mark.parametrize("scale", [0.5, 3.0, 8.0, 32.0])
@pytest.mark.parametrize(("num_rows", "num_classes"), [(1, 10), (128, 2), (128, 10), (96, 100), (256, 365)])
def test_plan_equals_the_float64_reference(num_rows, num_classes, scale):
    log_kernel, marginal = problem(num_rows, num_classes, scale)
    result = sinkhorn(log_kernel.float(), marginal.float(), tolerance=1e-5, max_iterations=2000)
    expected = reference_plan(log_kernel, marginal)
    assert float((result.plan - expected).abs().sum(1).mean()) <= 2e-3
    assert float(result.marginal_error) <= 1e-5
    assert int(result.iterations) < 2000


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("max_iterations", [1, 2, 3, 10])
def test_rows_are_exact_and_the_error_is_that_of_the_returned_plan(max_iterations, accelerate):
    log_kernel, marginal = problem(128, 20, 8.0)
    result = sinkhorn(log_kernel, marginal, tolerance=1e-9, max_iterations=max_iterations, accelerate=accelerate)
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
    result = sinkhorn(log_kernel, marginal, max_iterations=1, accelerate=False)
    assert torch.allclose(result.plan, scaled / scaled.sum(1, keepdim=True), atol=1e-12)


def test_a_sweep_lowers_the_error_and_acceleration_saves_sweeps():
    log_kernel, marginal = problem(128, 10, 8.0)
    errors = [float(sinkhorn(log_kernel, marginal, tolerance=0, max_iterations=k).marginal_error) for k in (1, 5, 20)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    plain = sinkhorn(log_kernel, marginal, tolerance=1e-4, max_iterations=5000, accelerate=False)
    fast = sinkhorn(log_kernel, marginal, tolerance=1e-4, max_iterations=5000)
    assert int(fast.iterations) < int(plain.iterations) / 2


def test_stops_at_the_tolerance_of_the_criterion_asked_for():
    log_kernel, marginal = problem(256, 50, 3.0)
    total = sinkhorn(log_kernel, marginal, tolerance=1e-3, max_iterations=1000)
    relative = sinkhorn(log_kernel, marginal, tolerance=1e-3, criterion="relative", max_iterations=1000)
    worst = ((relative.plan.sum(0) - marginal).abs() / marginal).max()
    assert float(relative.marginal_error) == pytest.approx(float(worst), rel=1e-6)
    assert float(worst) <= 1e-3
    assert int(relative.iterations) > int(total.iterations)


def test_the_scaling_reproduces_the_plan():
    log_kernel, marginal = problem(40, 12, 3.0)
    marginal[4] = 0
    result = sinkhorn(log_kernel, marginal)
    assert torch.allclose(torch.softmax(log_kernel + result.log_class_scaling, 1), result.plan, atol=1e-12)
    assert result.log_class_scaling[4] == -torch.inf


def test_a_constant_added_to_a_row_changes_nothing():
    log_kernel, marginal = problem(40, 12, 3.0)
    shift = torch.linspace(-50, 50, 40, dtype=torch.float64)[:, None]
    first, second = (sinkhorn(kernel, marginal, tolerance=1e-9) for kernel in (log_kernel, log_kernel + shift))
    assert torch.allclose(first.plan, second.plan, atol=1e-10)


def test_only_the_proportions_of_the_marginal_count():
    log_kernel, marginal = problem(40, 12, 3.0)
    first, second = (sinkhorn(log_kernel, b, tolerance=1e-9) for b in (marginal, marginal * 7))
    assert torch.allclose(first.plan, second.plan, atol=1e-12)


def test_one_row_takes_the_marginal_itself():
    marginal = torch.tensor([0.5, 0.2, 0.3])
    assert torch.allclose(sinkhorn(torch.tensor([[5.0, -3.0, 0.0]]), marginal).plan[0], marginal, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_logits_of_1e4_stay_finite(dtype):
    logits = torch.linspace(-1e4, 1e4, 64 * 10).reshape(64, 10)[:, torch.randperm(10, generator=torch.Generator())]
    result = sinkhorn(logits.to(dtype), torch.arange(10.0))
    assert result.plan.dtype == torch.float32
    assert bool(torch.isfinite(result.plan).all())
    assert bool(torch.isfinite(result.marginal_error))
    assert torch.allclose(result.plan.sum(1), torch.ones(64), atol=1e-5)


def test_a_class_whose_every_entry_underflows_gets_its_mass():
    log_kernel = torch.zeros(32, 4)
    log_kernel[:, 2] = -1e4
    result = sinkhorn(log_kernel, torch.tensor([1.0, 1.0, 1.0, 1.0]))
    assert torch.allclose(result.plan.sum(0), torch.full((4,), 8.0), atol=5e-3)


def test_empty_columns_are_exactly_zero():
    log_kernel, marginal = problem(64, 10, 3.0)
    marginal[[0, 7]] = 0
    plan = sinkhorn(log_kernel, marginal).plan
    assert bool((plan[:, [0, 7]] == 0).all())
    assert torch.allclose(plan.sum(1), torch.ones(64, dtype=torch.float64))


def test_forbidden_pairs_are_zero_and_rows_without_any_pair_do_not_count():
    log_kernel, marginal = problem(64, 10, 1.0)
    log_kernel[3, 5] = -torch.inf
    log_kernel[9] = -torch.inf
    result = sinkhorn(log_kernel, marginal, tolerance=1e-6)
    assert result.plan[3, 5] == 0
    assert bool((result.plan[9] == 0).all())
    kept = torch.arange(64) != 9
    alone = sinkhorn(log_kernel[kept], marginal, tolerance=1e-6)
    assert torch.allclose(result.plan[kept], alone.plan, atol=1e-6)


def test_no_rows():
    result = sinkhorn(torch.zeros(0, 3), torch.zeros(3))
    assert result.plan.shape == (0, 3)
    assert float(result.marginal_error) == 0


def test_autocast_does_not_reach_the_solver():
    log_kernel, marginal = problem(128, 10, 8.0)
    plain = sinkhorn(log_kernel.float(), marginal.float(), tolerance=1e-5, max_iterations=500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = sinkhorn(log_kernel.float(), marginal.float(), tolerance=1e-5, max_iterations=500)
    assert torch.equal(plain.plan, cast.plan)


def test_no_graph():
    log_kernel, marginal = (x.requires_grad_() for x in problem(16, 4, 1.0))
    assert not sinkhorn(log_kernel, marginal).plan.requires_grad


def test_memory_layout_and_half_precision_change_nothing():
    log_kernel, marginal = (values.float() for values in problem(32, 7, 3.0))
    half = log_kernel.bfloat16()
    expected = sinkhorn(half.float(), marginal).plan
    assert torch.equal(sinkhorn(half, marginal).plan, expected)
    assert torch.equal(sinkhorn(half, marginal.double()).plan, expected)
    turned = half.float().t().contiguous().t()
    assert not turned.is_contiguous()
    assert torch.equal(sinkhorn(turned, marginal).plan, expected)


def test_a_backend_that_cannot_be_had_says_why(monkeypatch):
    log_kernel, marginal = (values.float() for values in problem(8, 3, 1.0))
    with pytest.raises(
        ValueError, match=r"`backend` must be 'triton' only for .* CUDA device .*; got torch.float32 \(8, 3\) on cpu"
    ):
        sinkhorn(log_kernel, marginal, backend="triton")
    with pytest.raises(ValueError, match="`backend` must be 'numba' for tensors on the CPU only; got .* on meta"):
        sinkhorn(log_kernel.to("meta"), marginal.to("meta"), backend="numba")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"`backend` must be .* installed; got 'numba'.*pip install lt_callbacks\[numba\]"
    ):
        sinkhorn(log_kernel, marginal, backend="numba")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"log_kernel": torch.zeros(4, 3).long()},
            TypeError,
            "`log_kernel` must be a floating tensor; got torch.int64",
        ),
        ({"log_kernel": torch.zeros(4)}, ValueError, r"`log_kernel` must have shape \(N, C\).*got \(4,\)"),
        ({"class_marginal": torch.ones(4)}, ValueError, r"`class_marginal` must have shape \(3,\).*got \(4,\)"),
        ({"class_marginal": torch.tensor([1.0, -1, 1])}, ValueError, "`class_marginal` must be finite and >= 0"),
        ({"class_marginal": torch.tensor([1.0, torch.nan, 1])}, ValueError, "`class_marginal` must be finite and >= 0"),
        ({"class_marginal": torch.zeros(3)}, ValueError, "`class_marginal` must have a positive sum"),
        ({"tolerance": -1.0}, ValueError, "`tolerance` must be a finite number >= 0; got -1.0"),
        ({"max_iterations": 0}, ValueError, "`max_iterations` must be an integer >= 1; got 0"),
        ({"criterion": "tv"}, ValueError, "`criterion` must be one of 'total_variation', 'relative'; got 'tv'"),
        ({"backend": "jax"}, ValueError, "`backend` must be one of"),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error, match=text):
        sinkhorn(**{"log_kernel": torch.zeros(4, 3), "class_marginal": torch.ones(3), **arguments})
