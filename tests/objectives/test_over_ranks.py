from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from objective_rank_workers import SHARES, batch, objective_worker, padded_batch, prepared, steps
from spawned_ranks import run_ranks

from lt_callbacks.objectives import OBJECTIVES

pytestmark = pytest.mark.ddp


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    """What each of several processes made of its share."""
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    run_ranks(objective_worker, folder, num_ranks=request.param)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_mean_over_ranks_is_the_loss_of_one_process(ranks, name):
    expected = steps(prepared(name))
    for share in SHARES[len(ranks)]:
        for step, whole in enumerate(expected):
            parts = [got[f"{name}/{share}"][step] for got in ranks]
            losses = torch.stack([part["loss"] for part in parts])
            torch.testing.assert_close(losses.mean(), whole["loss"], msg=lambda m, s=share: f"{s}: {m}")
            # What DDP does to the gradients of the weights, of which each row has its part.
            gradient = torch.cat([part["gradient"] for part in parts]) / len(ranks)
            torch.testing.assert_close(gradient, whole["gradient"], rtol=1e-5, atol=1e-7)
            assert {int(part["size"]) for part in parts} == {int(whole["size"])} == {9}


def test_a_rank_without_samples_has_a_loss_of_zero(ranks):
    share, rank = {2: ("first empty", 0), 3: ("middle empty", 1)}[len(ranks)]
    for name in OBJECTIVES:
        assert [float(step["loss"]) for step in ranks[rank][f"{name}/{share}"]] == [0.0] * 4


@pytest.mark.parametrize("made", [batch, padded_batch], ids=["distinct", "repeated"])
def test_the_memory_is_that_of_one_process_on_every_rank(ranks, made):
    single = prepared("elr")
    steps(single, made)
    for share in SHARES[len(ranks)]:
        for got in ranks:
            assert torch.equal(got[f"memory/{made.__name__}/{share}"], single.memory), share


def test_a_rank_that_trains_a_model_of_its_own_waits_for_nobody(ranks):
    for got, expected in zip(ranks[0]["alone"], steps(prepared("elr")), strict=True):
        assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_validation_is_each_rank_s_own(ranks):
    logits, given_label, _ = batch(0)
    torch.testing.assert_close(ranks[0]["eval"], F.cross_entropy(logits, given_label))
