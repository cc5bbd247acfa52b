"""What one launch of the fused kernel makes of a batch is what the steps make of it, one by one."""

from __future__ import annotations

import pytest
import torch
import triton_interpreter
from dsink_rank_workers import SAME_SWEEPS, SETTINGS, SHARES, make_batches, one_launch_worker, own_rows, steps
from spawned_ranks import run_ranks
from teacher_batches import predictions

from lt_callbacks.dsink import MeanLabeler, ProxyLabeler
from lt_callbacks.transport import fused
from lt_callbacks.transport.held_rows import hold_rows


def poisoned(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """A batch in which each model fails once and rules a class out once."""
    inputs = predictions(20, 5, dtype=dtype)
    for model, rows in enumerate(inputs):
        rows[3 + model, 2] = torch.nan
        rows[9 + model, 1] = -torch.inf
    return inputs


ONE_LAUNCH = {
    "batch": (predictions(32, 6), {}),
    "weight": (predictions(32, 6), {"student_weight": 0.2}),
    "uniform": (predictions(32, 6), {"class_marginal": "uniform"}),
    "poisoned": (poisoned(), {}),
    "poisoned-uniform": (poisoned(), {"class_marginal": "uniform"}),
    "bfloat16": (poisoned(torch.bfloat16), {}),
    "float16": (predictions(32, 6, dtype=torch.float16), {}),
    "mixed": ((predictions(32, 6)[0].bfloat16(), *predictions(32, 6)[1:]), {}),
    "masked": ((predictions(6, 3)[0], torch.full((6, 3), torch.nan), predictions(6, 3)[2]), {}),
    "empty": (tuple(part[:0] for part in predictions(6, 3)), {}),
}
STEP_BY_STEP = {
    "running": (predictions(8, 4), {"class_marginal": "running"}),
    "student": (predictions(8, 4), {"class_marginal": "student"}),
    "none": (predictions(8, 4), {"class_marginal": "none"}),
    "queue": (predictions(8, 4), {"queue_batches": 1}),
    "float64": (predictions(8, 4, dtype=torch.float64), {}),
    "wide": (predictions(8, 600), {}),
}


@pytest.fixture(scope="module")
def in_one_launch(tmp_path_factory):
    calls = {
        name: ("label", inputs, {**SAME_SWEEPS, **settings})
        for name, (inputs, settings) in {**ONE_LAUNCH, **STEP_BY_STEP}.items()
    }
    return triton_interpreter.answers(calls, tmp_path_factory.mktemp("one_launch"))


@pytest.mark.parametrize("name", [*ONE_LAUNCH, *STEP_BY_STEP])
def test_one_launch_gives_what_the_steps_give(in_one_launch, name):
    inputs, settings = {**ONE_LAUNCH, **STEP_BY_STEP}[name]
    got = in_one_launch[name]
    expected = triton_interpreter.answer(("label", inputs, {**SAME_SWEEPS, **settings}))
    assert got["is_known"] == (name in ONE_LAUNCH)
    assert not expected["is_known"]
    assert got.keys() == expected.keys()
    half = {"atol": 1e-3, "rtol": 1e-2} if inputs[0].dtype != torch.float32 else {"atol": 2e-5, "rtol": 1e-4}
    for key in ("labels", "loss", "gradient"):
        close = half if key == "gradient" else {"atol": 2e-5, "rtol": 1e-4}
        torch.testing.assert_close(
            got[key], expected[key], equal_nan=True, **close, msg=lambda text, key=key: f"{key}: {text}"
        )
    torch.testing.assert_close(got["marginal_error"], expected["marginal_error"], atol=3e-6, rtol=0)
    for key in ("num_nonfinite", "is_nonfinite"):
        assert torch.equal(got[key], expected[key])
    assert got["loss_scale"] == expected["loss_scale"]


@pytest.mark.ddp
@pytest.mark.parametrize("num_ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_one_launch_over_ranks_is_one_process_with_the_whole_batch(num_ranks, tmp_path, monkeypatch):
    batches = make_batches()
    torch.save(batches, tmp_path / "batches.pt")
    # The processes import Triton anew.
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    run_ranks(one_launch_worker, tmp_path, num_ranks=num_ranks, is_forked=False)
    got = [torch.load(tmp_path / f"one_launch{rank}.pt", weights_only=True) for rank in range(num_ranks)]
    close = {"atol": 2e-5, "rtol": 1e-4}
    for shares, lengths in SHARES[num_ranks].items():
        for name in ("tolerant",):
            whole = steps({**SETTINGS[name], **SAME_SWEEPS}, batches, slice(None), None)
            for step, expected in enumerate(whole["steps"]):
                each = [rank[f"{name}_{shares}"]["steps"][step] for rank in got]
                torch.testing.assert_close(torch.cat([one["labels"] for one in each]), expected["labels"], **close)
                for one in each:
                    torch.testing.assert_close(one["gradient"], expected["gradient"], **close)
                    assert torch.equal(one["num_nonfinite"], expected["num_nonfinite"])
                    assert torch.equal(one["error"], each[0]["error"])
                assert torch.equal(torch.cat([one["is_nonfinite"] for one in each]), expected["is_nonfinite"])
        for rank, length in enumerate(lengths):
            for step, batch in enumerate(batches):
                one = got[rank][f"local_{shares}"]["steps"][step]
                own = own_rows(lengths, rank)
                inputs = (batch["images"] @ batch["weights"], batch["noise"], batch["imbalance"])
                alone = ProxyLabeler(**SAME_SWEEPS)(*(part[own] for part in inputs))
                torch.testing.assert_close(one["labels"], alone.labels, **close)
                assert len(one["labels"]) == length
                assert one["loss_scale"] == 1.0
                assert int(one["num_nonfinite"].sum()) == int(ProxyLabeler()(*inputs).num_nonfinite.sum())


def test_large_problems_and_other_devices_go_step_by_step(monkeypatch):
    held = hold_rows(predictions(8, 4), process_group=None, num_sweeps=1)
    assert not ProxyLabeler()._fits_one_launch(held)
    monkeypatch.setattr(fused, "FORCED", True)
    assert ProxyLabeler()._fits_one_launch(held)
    assert not ProxyLabeler()._fits_one_launch(hold_rows(predictions(400, 100), process_group=None, num_sweeps=1))
    assert not MeanLabeler()._fits_one_launch(held)


@pytest.mark.gpu
@pytest.mark.skipif(not fused.is_available(torch.device("cuda")), reason="needs a CUDA device with Triton")
@pytest.mark.parametrize("name", [*ONE_LAUNCH, *STEP_BY_STEP])
def test_on_a_gpu_one_launch_gives_what_the_steps_give(name):
    inputs, settings = {**ONE_LAUNCH, **STEP_BY_STEP}[name]
    settings = {**SAME_SWEEPS, **settings, "tolerance": 1e-5}
    inputs = tuple(part.cuda() for part in inputs)
    triton_interpreter.answer(("label", inputs, settings))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = triton_interpreter.answer(("label", inputs, settings))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = triton_interpreter.answer(("label", tuple(part.cpu() for part in inputs), settings))
    assert got["is_known"] == (name in ONE_LAUNCH)
    for key in ("labels", "loss", "gradient"):
        torch.testing.assert_close(got[key].cpu(), expected[key], equal_nan=True, atol=2e-3, rtol=1e-2)
    for key in ("num_nonfinite", "is_nonfinite"):
        assert torch.equal(got[key].cpu(), expected[key])
