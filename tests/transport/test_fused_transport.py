"""The transport kernel, in Triton's interpreter, against the sweeps in float64; and on a GPU where there is one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import triton_interpreter
from reference import problem, reference_plan
from torch import Tensor

from lt_callbacks.transport import fused
from lt_callbacks.transport.fused_transport import solve_fused
from lt_callbacks.transport.log_domain import solve_in_log_domain

SETTINGS = {"tolerance": 1e-4, "relative": False, "max_iterations": 300, "accelerate": True}
INF = torch.inf


def edges() -> dict[str, tuple[Tensor, Tensor, dict[str, Any]]]:
    """Name -> (log kernel, class marginal, settings)."""
    found: dict[str, tuple[Tensor, Tensor, dict[str, Any]]] = {}

    def add(name: str, num_rows: int = 24, num_classes: int = 6, scale: float = 3.0, **settings: Any) -> Any:
        log_kernel, marginal = problem(num_rows, num_classes, scale, seed=len(found))
        found[name] = (log_kernel.float(), marginal.float(), {**SETTINGS, **settings})
        return found[name]

    for relative in (False, True):
        for accelerate in (False, True):
            add(f"plain-{relative}-{accelerate}", 37, 11, 3.0, relative=relative, accelerate=accelerate)
    for shape in ((1, 5), (20, 2), (50, 3), (16, 16), (17, 33), (33, 17)):
        add(f"shape-{shape}", *shape)
    for sweeps in (1, 2, 3, 40):
        add(f"all-{sweeps}-sweeps", tolerance=0.0, max_iterations=sweeps)
    add("limit", scale=8.0, max_iterations=5, tolerance=1e-6)
    add("sharp", 64, 10, 8.0)
    add("sharper", 40, 10, 30.0, max_iterations=1000, tolerance=1e-3)
    add("large", 128, 100, 8.0)
    found["one-class"] = (torch.randn(9, 1), torch.ones(1), SETTINGS)
    found["no-rows"] = (torch.zeros(0, 3), torch.ones(3), SETTINGS)
    found["no-rows-no-mass"] = (torch.zeros(0, 3), torch.zeros(3), SETTINGS)
    found["no-mass"] = (torch.zeros(4, 3), torch.zeros(3), SETTINGS)
    found["zeros"] = (torch.zeros(8, 4), torch.tensor([1.0, 2, 3, 2]), SETTINGS)
    for relative in (False, True):
        kernel, marginal, _ = add(f"closed-{relative}", relative=relative)
        marginal[[0, 4]] = 0
        # Nothing in a closed class counts.
        kernel[3, 0], kernel[4, 4] = torch.nan, INF
    kernel, marginal, _ = add("only-closed")
    marginal[:2] = 0
    kernel[5, 2:] = -INF
    for name, poison in (("nan", torch.nan), ("inf", INF)):
        add(f"one-{name}")[0][7, 2] = poison
        add(f"all-{name}", tolerance=0.0)[0][:] = poison
    add("all-forbidden", relative=True)[0][:] = -INF
    kernel = add("forbidden")[0]
    kernel[3, 5] = kernel[8, 0] = -INF
    kernel[9] = -INF
    # Open, and no row may go there: its scaling grows for ever.
    add("unreachable", max_iterations=30)[0][:, 2] = -INF
    found["underflow"] = (torch.zeros(32, 4), torch.ones(4), {**SETTINGS, "tolerance": 1e-3})
    found["underflow"][0][:, 2] = -1e4
    add("scaled-marginal")[1].mul_(1e-20)
    return found


EDGES = edges()
#: What depends on the dtype by its nature: a scaling that steps by the logarithm of the least number; rounding at 1e4.
LIKE_FLOAT32 = ("unreachable", "underflow")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    calls = {name: ("solve", (kernel, marginal), settings) for name, (kernel, marginal, settings) in EDGES.items()}
    calls["again"] = calls["large"]
    kernel, marginal, _ = EDGES["sharp"]
    calls["exact"] = ("solve", (kernel, marginal), {**SETTINGS, "tolerance": 1e-5, "max_iterations": 2000})
    wide = torch.full((64, 40), torch.nan)
    wide[:, 7:17] = kernel
    calls["strided"] = ("solve", (wide[:, 7:17], marginal), SETTINGS)
    calls["transposed"] = ("solve", (kernel.t().contiguous().t(), marginal), SETTINGS)
    for dtype in (torch.bfloat16, torch.float16):
        calls[f"half-{dtype}"] = ("solve", (kernel.to(dtype), marginal), SETTINGS)
        calls[f"widened-{dtype}"] = ("solve", (kernel.to(dtype).float(), marginal), SETTINGS)
    for scale in (1e2, 1e4):
        logits = scale * torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
        calls[f"extreme-{scale:g}"] = ("solve", (logits, torch.arange(10.0)), {**SETTINGS, "max_iterations": 60})
    return triton_interpreter.answers(calls, tmp_path_factory.mktemp("fused_transport"))


@pytest.mark.parametrize("name", EDGES)
def test_it_makes_the_sweeps_of_the_torch_solver(answers, name):
    kernel, marginal, settings = EDGES[name]
    got = answers[name]
    dtype, atol = (torch.float32, 2e-4) if name in LIKE_FLOAT32 else (torch.float64, 2e-5)
    expected = solve_in_log_domain(kernel.to(dtype), marginal.to(dtype), stop_early=True, **settings)
    assert got["plan"].dtype == got["marginal_error"].dtype == torch.float32
    assert got["iterations"].dtype == torch.int64
    assert got["iterations"].shape == got["marginal_error"].shape == ()
    # Forbidden pairs, empty columns and absent rows are exactly zero.
    assert bool((got["plan"][expected.plan == 0] == 0).all())
    torch.testing.assert_close(got["plan"].to(dtype), expected.plan, atol=atol, rtol=0)
    torch.testing.assert_close(got["marginal_error"].to(dtype), expected.marginal_error, atol=atol, rtol=1e-4)
    torch.testing.assert_close(got["log_class_scaling"].to(dtype), expected.log_class_scaling, atol=1e-3, rtol=1e-5)
    # Rounding decides which sweep hits an error of 0.
    if name != "all-40-sweeps":
        assert int(got["iterations"]) == int(expected.iterations)


@pytest.mark.parametrize("name", EDGES)
def test_rows_are_exact_and_the_error_is_that_of_the_returned_plan(answers, name):
    kernel, marginal, settings = EDGES[name]
    plan = answers[name]["plan"].double()
    is_present = kernel.masked_fill(marginal == 0, -INF).amax(1).isfinite()
    torch.testing.assert_close(plan.sum(1), is_present.double(), atol=1e-6, rtol=0)
    num_present = int(is_present.sum())
    target = marginal.double() * num_present / max(float(marginal.double().sum()), 1e-300)
    difference = (plan.sum(0) - target).abs()
    if settings["relative"]:
        is_open = target > 0
        error = float((difference[is_open] / target[is_open]).max()) if num_present else 0.0
    else:
        error = float(difference.sum()) / max(num_present, 1)
    assert float(answers[name]["marginal_error"]) == pytest.approx(error, rel=1e-3, abs=2e-6)


def test_the_plan_is_the_float64_reference(answers):
    kernel, marginal, _ = EDGES["sharp"]
    got = answers["exact"]
    assert float(got["marginal_error"]) <= 1e-5
    assert int(got["iterations"]) < 2000
    expected = reference_plan(kernel, marginal)
    assert float((got["plan"] - expected).abs().sum(1).mean()) <= 1e-3
    again = torch.softmax(kernel + got["log_class_scaling"], 1)
    torch.testing.assert_close(again, got["plan"], atol=1e-5, rtol=0)


def test_it_gives_the_same_bits_again(answers):
    for name, value in answers["large"].items():
        assert torch.equal(value, answers["again"][name])


@pytest.mark.parametrize("name", ["strided", "transposed"])
def test_rows_may_lie_apart(answers, name):
    assert torch.equal(answers[name]["plan"], answers["sharp"]["plan"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(answers, dtype):
    assert answers[f"half-{dtype}"]["plan"].dtype == torch.float32
    assert torch.equal(answers[f"half-{dtype}"]["plan"], answers[f"widened-{dtype}"]["plan"])


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_logits_stay_finite(answers, scale):
    got = answers[f"extreme-{scale:g}"]
    assert bool(got["plan"].isfinite().all())
    assert math.isfinite(float(got["marginal_error"]))
    torch.testing.assert_close(got["plan"].sum(1), torch.ones(64), atol=1e-6, rtol=0)
    assert bool((got["plan"][:, 0] == 0).all())


needs_gpu = pytest.mark.skipif(not fused.is_available(torch.device("cuda")), reason="needs a CUDA device with Triton")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", EDGES)
def test_on_a_gpu_it_makes_the_sweeps_of_the_torch_solver(name):
    kernel, marginal, settings = EDGES[name]
    got = solve_fused(kernel.cuda(), marginal.cuda(), **settings)
    expected = solve_in_log_domain(kernel.double(), marginal.double(), stop_early=True, **settings)
    plan = got.plan.cpu().double()
    assert bool((plan[expected.plan == 0] == 0).all())
    # One sweep more or less where rounding decides.
    torch.testing.assert_close(plan, expected.plan, atol=2e-3, rtol=0)
    assert abs(int(got.iterations) - int(expected.iterations)) <= 1 or name == "all-40-sweeps"


@pytest.mark.gpu
@needs_gpu
@pytest.mark.slow
def test_on_a_gpu_a_thousand_problems_meet_their_marginals():
    generator = torch.Generator().manual_seed(0)

    def choose(*options: Any) -> Any:
        return options[int(torch.randint(len(options), (1,), generator=generator))]

    for seed in range(1000):
        num_rows, num_classes = choose(1, 2, 17, 64, 100, 128), choose(2, 3, 10, 33, 100)
        scale, tolerance = choose(0.3, 1.0, 3.0, 8.0), choose(1e-2, 1e-3)
        kernel, marginal = problem(num_rows, num_classes, scale, seed=seed)
        kernel, marginal = kernel.to(choose(torch.float32, torch.bfloat16, torch.float16)), marginal.float()
        if choose(True, False):
            marginal[choose(*range(num_classes))] = 0
        if choose(True, False):
            kernel[choose(*range(num_rows))] = choose(torch.nan, INF, -INF)
        settings = {"tolerance": tolerance, "relative": False, "max_iterations": 2000, "accelerate": True}
        got = solve_fused(kernel.cuda(), marginal.cuda(), **settings)
        expected = solve_in_log_domain(kernel.double(), marginal.double(), stop_early=True, **settings)
        plan = got.plan.cpu().double()
        assert bool(plan.isfinite().all()), seed
        torch.testing.assert_close(plan.sum(1), (expected.plan.sum(1) > 0.5).double(), atol=1e-5, rtol=0)
        assert bool((plan[:, marginal == 0] == 0).all()), seed
        assert float(got.marginal_error) <= tolerance, seed
        assert abs(int(got.iterations) - int(expected.iterations)) <= 1, seed
        if int(got.iterations) == int(expected.iterations):
            torch.testing.assert_close(plan, expected.plan, atol=1e-3, rtol=0)


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_the_host_does_not_wait_and_the_last_batch_compiles_nothing():
    from lt_callbacks.transport import fused_kernels

    kernel, marginal = (part.float().cuda() for part in problem(128, 100, 8.0))
    first = solve_fused(kernel, marginal, **SETTINGS)
    caches = fused_kernels.transport_kernel.device_caches
    before = sum(len(cache[0]) for cache in caches.values())
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = solve_fused(kernel, marginal, **SETTINGS)
        for rows in (127, 112, 65):
            solve_fused(kernel[:rows], marginal, **{**SETTINGS, "max_iterations": rows})
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert sum(len(cache[0]) for cache in caches.values()) == before


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_it_may_be_captured_in_a_graph():
    kernel, marginal = (part.float().cuda() for part in problem(64, 10, 3.0))
    solve_fused(kernel, marginal, **SETTINGS)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = solve_fused(kernel, marginal, **SETTINGS)
    other = problem(64, 10, 3.0, seed=5)[0].float().cuda()
    kernel.copy_(other)
    graph.replay()
    assert torch.equal(result.plan, solve_fused(other, marginal, **SETTINGS).plan)
