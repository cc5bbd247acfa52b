"""Three models' predictions to labels, divergence and gradient in one kernel; and which problems it is for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
import triton_interpreter
from patience import PATIENCE
from teacher_batches import predictions
from torch import Tensor

from lt_callbacks.dsink import proxy_label_loss
from lt_callbacks.dsink.proxy_labels import log_kernel
from lt_callbacks.transport import fused
from lt_callbacks.transport.sweeps import solve

SETTINGS = {"student_weight": 0.5, "tolerance": 1e-4, "max_iterations": 300}
INF = torch.inf
Models = tuple[Tensor, Tensor, Tensor]


def edges() -> dict[str, tuple[Models, dict[str, Any]]]:
    """Name -> (student logits, noise-robust and imbalance-robust log-probabilities; settings)."""
    found: dict[str, tuple[Models, dict[str, Any]]] = {}

    def add(name: str, num_rows: int = 20, num_classes: int = 5, **settings: Any) -> Models:
        scale = settings.pop("scale", 3.0)
        models = predictions(num_rows, num_classes, seed=len(found), scale=scale)
        found[name] = (models, {**SETTINGS, **settings})
        return models

    for weight in (0.0, 0.3, 0.5, 1.0):
        add(f"weight-{weight}", student_weight=weight)
    for shape in ((1, 7), (2, 2), (33, 17), (16, 16)):
        add(f"shape-{shape}", *shape)
    add("large", 128, 100, scale=4.0)
    add("no-rows", 0, 3)
    add("all-sweeps", tolerance=0.0, max_iterations=4)
    add("own", own=slice(3, 11))
    add("own-none", own=slice(20, 20))
    add("large-logits", scale=100.0, max_iterations=3)
    for model, name in enumerate(("student", "noise", "imbalance")):
        for what, poison in (("nan", torch.nan), ("inf", INF), ("nothing", -INF)):
            rows = add(f"{name}-{what}", own=slice(2, 18))[model]
            rows[4, 2 if what != "nothing" else slice(None)] = rows[19, 0 if what != "nothing" else slice(None)] = (
                poison
            )
        # Minus infinity is a prediction like any other.
        add(f"{name}-rules-out")[model][5, 1] = -INF
    add("masked", tolerance=0.0)[1][:] = torch.nan
    add("masked-student")[0][:] = torch.nan
    student, noise, _ = add("nowhere-to-go")
    student[3, :2], noise[3, 2:] = -INF, -INF
    # A model of no weight has no say, even where it rules a class out.
    add("student-without-weight", student_weight=0.0)[0][2, 1] = -INF
    add("noise-without-weight", student_weight=1.0)[1][2, 1] = -INF
    add("absent-class")[2][:, 3] = -INF
    return found


EDGES = edges()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    calls = {name: ("harmonise", models, settings) for name, (models, settings) in EDGES.items()}
    calls["again"] = calls["large"]
    models, _ = EDGES["weight-0.5"]
    joint = torch.cat(models, dim=1)
    calls["split"] = ("harmonise", joint.split([5] * 3, dim=1), SETTINGS)
    calls["transposed"] = ("harmonise", tuple(part.t().contiguous().t() for part in models), SETTINGS)
    calls["uniform"] = ("harmonise", models, {**SETTINGS, "class_marginal": torch.ones(5)})
    calls["logits"] = ("harmonise", tuple(part + torch.linspace(-9, 9, 20)[:, None] for part in models), SETTINGS)
    for dtype in (torch.bfloat16, torch.float16):
        calls[f"half-{dtype}"] = ("harmonise", tuple(part.to(dtype) for part in models), SETTINGS)
        calls[f"widened-{dtype}"] = ("harmonise", tuple(part.to(dtype).float() for part in models), SETTINGS)
    return triton_interpreter.answers(calls, tmp_path_factory.mktemp("fused"))


def by_torch(models: Models, settings: dict[str, Any]) -> dict[str, Tensor]:
    """The same in float64, step by step, with plain sweeps and autograd."""
    settings = dict(settings)
    own = settings.pop("own", slice(0, len(models[0])))
    marginal = settings.pop("class_marginal", None)
    student, noise, imbalance = (part.double() for part in models)
    is_bad = torch.stack([~part.amax(1).isfinite() for part in (student, noise, imbalance)], dim=1)
    kernel = log_kernel(student, noise, student_weight=settings.pop("student_weight"))
    kernel[is_bad.any(1)] = -INF
    if marginal is None:
        marginal = imbalance[~is_bad.any(1)].softmax(1).sum(0)
    marginal = torch.where(marginal.sum() > 0, marginal, 1.0).double()
    found = solve(kernel, marginal, relative=False, accelerate=True, stop_early=True, **settings)
    logits = models[0].double()[own].requires_grad_()
    loss = proxy_label_loss(logits, found.plan[own])
    loss.backward()
    return {
        "labels": found.plan[own],
        "gradient": logits.grad,
        "divergence": loss.detach(),
        "marginal_error": found.marginal_error,
        "iterations": found.iterations,
        "is_nonfinite": is_bad[own, 1:],
        "num_nonfinite": is_bad[:, 1:].sum(0),
    }


def assert_same(got: dict[str, Tensor], expected: dict[str, Tensor], *, atol: float = 2e-5) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        if value.is_floating_point():
            assert got[name].dtype == torch.float32
            close = {"atol": atol, "rtol": 1e-4, "equal_nan": True}
            torch.testing.assert_close(
                got[name].double(), value, **close, msg=lambda text, name=name: f"{name}: {text}"
            )
        else:
            assert torch.equal(got[name], value), name
    assert bool((got["labels"][expected["labels"] == 0] == 0).all())


@pytest.mark.parametrize("name", EDGES)
def test_it_is_labeler_loss_and_gradient_in_one(answers, name):
    models, settings = EDGES[name]
    # At 100 a logit's rounding is 1e-5 and moves labels by as much.
    assert_same(answers[name], by_torch(models, settings), atol=1e-3 if name == "large-logits" else 2e-5)


def test_a_marginal_may_be_given(answers):
    models, settings = EDGES["weight-0.5"]
    assert_same(answers["uniform"], by_torch(models, {**settings, "class_marginal": torch.ones(5)}))


def test_row_constants_of_the_noise_robust_teacher_do_not_matter(answers):
    torch.testing.assert_close(answers["logits"]["labels"], answers["weight-0.5"]["labels"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["split", "transposed"])
def test_rows_may_lie_apart(answers, name):
    for key, value in answers["weight-0.5"].items():
        assert torch.equal(answers[name][key], value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(answers, dtype):
    for key, value in answers[f"widened-{dtype}"].items():
        assert torch.equal(answers[f"half-{dtype}"][key], value)


def test_it_gives_the_same_bits_again(answers):
    for key, value in answers["large"].items():
        assert torch.equal(answers["again"][key], value)


def test_what_fits():
    assert fused.fits(128, 100)
    assert fused.fits(256, 128)
    assert fused.fits(0, 10)
    assert not fused.fits(257, 128)
    assert not fused.fits(128, 0)
    assert not fused.fits(2, 257)
    assert not fused.fits(128, 1000)


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (17, 3), (128, 10), (128, 100), (256, 128), (60, 256), (2048, 16)])
def test_a_tile_holds_its_problem(shape):
    tile = fused.tile(*shape)
    assert tile.rows >= shape[0]
    assert tile.groups * tile.width >= shape[1]
    for side in tile:
        assert side & (side - 1) == 0
    # The register file of a block has 65,536; half of them hold the matrix at most.
    assert tile.rows * tile.groups * tile.width <= 64 * 32 * tile.num_warps


def test_it_is_for_gpus_unless_told_otherwise(monkeypatch):
    assert not fused.is_available(torch.device("cpu"))
    monkeypatch.setattr(fused, "FORCED", True)
    assert fused.is_available(torch.device("cpu"))
    monkeypatch.setattr(fused, "FORCED", False)
    assert not fused.is_available(torch.device("cuda"))


def test_triton_is_loaded_on_use_only():
    code = (
        "import sys, lt_callbacks.dsink, lt_callbacks.transport\n"
        "assert 'lt_callbacks.transport.fused' in sys.modules\n"
        "assert 'lt_callbacks.transport.fused_kernel' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def test_without_triton_there_is_a_way_out(monkeypatch):
    fused._kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "triton", None)
    try:
        with pytest.raises(RuntimeError, match="needs Triton 3 or later.*`backend='torch'`"):
            fused.solve(
                torch.zeros(2, 3), torch.ones(3), tolerance=0.1, relative=False, max_iterations=1, accelerate=True
            )
    finally:
        fused._kernels.cache_clear()


def test_an_old_triton_is_as_none(monkeypatch):
    import triton

    fused._kernels.cache_clear()
    monkeypatch.setattr(triton, "__version__", "2.3.1")
    try:
        assert fused._kernels() is None
    finally:
        fused._kernels.cache_clear()


needs_gpu = pytest.mark.skipif(not fused.is_available(torch.device("cuda")), reason="needs a CUDA device with Triton")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", EDGES)
def test_on_a_gpu_it_is_labeler_loss_and_gradient_in_one(name):
    models, settings = EDGES[name]
    got = fused.harmonise(*(part.cuda() for part in models), **settings)._asdict()
    expected = by_torch(models, settings)
    # One sweep more or less where rounding decides.
    assert abs(int(got.pop("iterations")) - int(expected.pop("iterations"))) <= 1
    assert_same({key: value.cpu() for key, value in got.items()}, expected, atol=2e-3)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_a_gpu_the_host_does_not_wait(dtype):
    models = tuple(part.to(dtype).cuda() for part in predictions(128, 100))
    expected = fused.harmonise(*models, **SETTINGS)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = fused.harmonise(*models, **SETTINGS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_it_may_be_captured_in_a_graph():
    models = tuple(part.cuda() for part in predictions(64, 10))
    fused.harmonise(*models, **SETTINGS)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = fused.harmonise(*models, **SETTINGS)
    others = [part.cuda() for part in predictions(64, 10, seed=3)]
    for mine, other in zip(models, others, strict=True):
        mine.copy_(other)
    graph.replay()
    for one, other in zip(found, fused.harmonise(*others, **SETTINGS), strict=True):
        assert torch.equal(one, other)
