from __future__ import annotations

import pytest
import torch
from reference import problem
from spawned_ranks import group_of_one, run_ranks
from transport_rank_workers import SHARES, own_rows, transport_worker

from lt_callbacks._ranks import gather_rows
from lt_callbacks.transport import sinkhorn

NUM_ROWS, NUM_CLASSES = 24, 6


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """The problem, and what each of two processes made of its share."""
    folder = tmp_path_factory.mktemp("two_ranks")
    log_kernel, marginal = problem(NUM_ROWS, NUM_CLASSES, 6.0)
    # Each row brings its own part of the marginal, as a sample brings the teacher's prediction.
    row_shares = torch.rand(NUM_ROWS, NUM_CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    row_shares = row_shares * (marginal / row_shares.sum(0))
    torch.save({"log_kernel": log_kernel.float(), "row_shares": row_shares.float()}, folder / "problem.pt")
    run_ranks(transport_worker, folder)
    ranks = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    return log_kernel.float(), row_shares.float(), ranks


def test_a_group_of_one_changes_nothing():
    log_kernel, marginal = problem(NUM_ROWS, NUM_CLASSES, 6.0)
    alone = sinkhorn(log_kernel, marginal)
    with group_of_one() as group:
        grouped = sinkhorn(log_kernel, marginal, process_group=group)
        (rows,) = gather_rows(log_kernel, group)
    assert all(torch.equal(a, b) for a, b in zip(alone, grouped, strict=True))
    assert torch.equal(rows, log_kernel)


@pytest.mark.ddp
@pytest.mark.parametrize("shares", SHARES)
def test_rows_arrive_in_rank_order_and_without_padding(two_ranks, shares):
    log_kernel, _, ranks = two_ranks
    for got in ranks:
        assert [len(share) for share in got[f"rows_{shares}"]] == list(SHARES[shares])
        assert torch.equal(torch.cat(got[f"rows_{shares}"]), log_kernel)


@pytest.mark.ddp
def test_nothing_on_any_rank_is_gathered_as_nothing(two_ranks):
    for got in two_ranks[2]:
        assert [tuple(share.shape) for share in got["rows_none"]] == [(0, 3), (0, 3)]


@pytest.mark.ddp
@pytest.mark.parametrize("shares", SHARES)
def test_two_ranks_solve_the_problem_of_one_process(two_ranks, shares):
    log_kernel, row_shares, ranks = two_ranks
    whole = sinkhorn(log_kernel, row_shares.sum(0), tolerance=0.0, max_iterations=40)
    for rank, got in enumerate(ranks):
        plan, scaling, error, _ = got[f"{shares}_0.0"]
        torch.testing.assert_close(plan, whole.plan[own_rows(shares, rank)], atol=1e-5, rtol=0)
        torch.testing.assert_close(scaling, whole.log_class_scaling, atol=1e-4, rtol=0)
        torch.testing.assert_close(error, whole.marginal_error, atol=1e-6, rtol=0)


@pytest.mark.ddp
@pytest.mark.parametrize("shares", SHARES)
def test_ranks_stop_at_the_same_sweep(two_ranks, shares):
    log_kernel, row_shares, ranks = two_ranks
    whole = sinkhorn(log_kernel, row_shares.sum(0), tolerance=1e-3, max_iterations=40)
    sweeps = [int(got[f"{shares}_0.001"][3]) for got in ranks]
    assert sweeps == [int(whole.iterations)] * 2
    assert 1 < sweeps[0] < 40


@pytest.mark.ddp
def test_a_bad_marginal_on_one_rank_is_an_error_on_all(two_ranks):
    for got in two_ranks[2]:
        assert got["error"].startswith("`class_marginal` must be finite and >= 0; got [2.0, 2.0, -3.0].")
