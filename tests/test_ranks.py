from __future__ import annotations

import pytest
import torch
from leaf_rank_workers import MAKE, SHARES, leaf_worker, own_rows
from spawned_ranks import group_of_one, run_ranks

from lt_callbacks._ranks import all_ranks, gather_rows, share_lengths


def test_one_process_is_no_group():
    assert all_ranks() is None
    with group_of_one():
        assert all_ranks() is None


@pytest.mark.parametrize("kind", MAKE)
def test_a_group_of_one_has_its_own_rows(kind):
    rows = MAKE[kind](4)
    with group_of_one() as group:
        assert share_lengths(4, group) == [4]
        (got,) = gather_rows(rows, group)
    assert got.dtype == rows.dtype
    assert torch.equal(got, rows)


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    """What each of two and of three processes heard of the others."""
    folder = tmp_path_factory.mktemp(f"leaf_{request.param}")
    run_ranks(leaf_worker, folder, num_ranks=request.param)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.ddp
def test_the_group_of_all_ranks(ranks):
    assert all(got["all_ranks"] for got in ranks)


@pytest.mark.ddp
def test_lengths_come_in_rank_order(ranks):
    for name, shares in SHARES[len(ranks)].items():
        assert all(got[f"{name}_lengths"] == list(shares) for got in ranks)


@pytest.mark.ddp
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("known", ["", "_known"])
def test_rows_come_in_rank_order_without_padding_and_unchanged(ranks, kind, known):
    for name, shares in SHARES[len(ranks)].items():
        rows = MAKE[kind](sum(shares))
        for got in ranks:
            blocks = got[f"{name}_{kind}{known}"]
            for rank, block in enumerate(blocks):
                assert block.dtype == rows.dtype
                assert block.shape == rows[own_rows(shares, rank)].shape
            assert torch.equal(torch.cat(blocks), rows)


@pytest.mark.ddp
def test_a_column_of_something_larger(ranks):
    for got in ranks:
        assert [block.tolist() for block in got["column"]] == [
            [10.0 * rank + odd for odd in (1, 3, 5, 7)] for rank in range(len(ranks))
        ]


@pytest.mark.ddp
def test_the_own_rows_are_left_alone(ranks):
    for rank, got in enumerate(ranks):
        assert torch.equal(got["left_alone"], torch.zeros(2, 3) + rank)


@pytest.mark.ddp
def test_a_group_that_carries_no_cpu_tensors_gets_one_gloo_twin(ranks):
    """A stand-in for NCCL, which needs a GPU a rank: the lengths could not have come by the group itself."""
    for got in ranks:
        assert got["gloo_is_its_own"]
        assert got["twin_lengths"] == [[10 * turn + rank for rank in range(len(ranks))] for turn in range(2)]
        assert got["twin_is_kept"]


@pytest.mark.ddp
def test_a_group_of_some_of_the_ranks(ranks):
    if len(ranks) < 3:
        pytest.skip("a pair of two ranks is all of them")
    for got in ranks[1:]:
        assert got["pair_lengths"] == [1, 2]
        assert [block.tolist() for block in got["pair_rows"]] == [[[1.0, 1.0]], [[2.0, 2.0]] * 2]
    for got in (ranks[0], ranks[2]):
        assert got["silent_pair_ranks"] == [0, 2]
        assert got["silent_pair_lengths"] == [100, 102]
