from __future__ import annotations

import pytest
import torch
from reference import problem
from spawned_ranks import group_of_one, run_ranks
from transport_rank_workers import FIXED, PROBLEMS, SHARES, WAYS, make_problem, own_rows, transport_worker

from lt_callbacks.transport import held_rows, sinkhorn
from lt_callbacks.transport.log_domain import solve_in_log_domain

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def rule(lengths, num_classes, *, num_sweeps=100, device=CPU):
    return held_rows.reducing_pays(lengths, num_classes, num_sweeps=num_sweeps, device=device)


def whole_problem(name, **settings):
    log_kernel, row_shares = make_problem(name)
    return sinkhorn(log_kernel, row_shares.sum(0), **settings)


@pytest.mark.parametrize("way", [*WAYS, None])
def test_a_group_of_one_changes_nothing(way, monkeypatch):
    monkeypatch.setattr(held_rows, "FORCED", way)
    log_kernel, marginal = problem(24, 6, 6.0)
    # All sweeps: with a tolerance, one process stops at a scaling of its own.
    settings = {"tolerance": 0.0, "max_iterations": 30}
    alone = sinkhorn(log_kernel, marginal, **settings)
    with group_of_one() as group:
        grouped = sinkhorn(log_kernel, marginal, process_group=group, **settings)
    assert all(torch.equal(a, b) for a, b in zip(alone, grouped, strict=True))


def test_reducing_is_for_what_the_other_ranks_hold_on_average():
    rows = held_rows.ENTRIES_TO_REDUCE // (100 + held_rows.ROW_ENTRIES)
    assert not rule([rows, rows], 100)
    assert rule([rows + 1, rows + 1], 100)
    # The largest share is swept in both ways.
    assert not rule([50 * rows, rows], 100)
    assert rule([50 * rows, rows + 1], 100)
    assert not rule([0, 50 * rows], 100)
    # Twice the latency, twice the rows.
    assert not rule([rows, rows, rows], 100)
    assert rule([rows + 1, rows + 1, rows + 1], 100)
    assert not rule([10**6], 1000)
    assert not rule([0, 0], 100)


def test_where_nothing_is_swept_only_sums_travel():
    assert rule([1, 1], 3, num_sweeps=0)
    assert rule([1, 1], 3, num_sweeps=0, device=GPU)
    assert not rule([1, 1], 3, num_sweeps=1)


def test_a_gpu_gathers():
    assert rule([10**5, 10**5], 100)
    assert not rule([10**5, 10**5], 100, device=GPU)


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    """What each of two and of three processes made of its share."""
    folder = tmp_path_factory.mktemp(f"ranks_{request.param}")
    run_ranks(transport_worker, folder, num_ranks=request.param)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_ranks_solve_the_problem_of_one_process(ranks, way, name):
    whole = whole_problem(name, **FIXED, **PROBLEMS[name][2])
    for label, shares in SHARES[len(ranks)].items():
        for rank, got in enumerate(ranks):
            plan, scaling, error, iterations = got[f"{way}_{label}_{name}"]
            torch.testing.assert_close(plan, whole.plan[own_rows(shares, rank)], atol=1e-5, rtol=0)
            torch.testing.assert_close(scaling, whole.log_class_scaling, atol=1e-4, rtol=0)
            torch.testing.assert_close(error, whole.marginal_error, atol=2e-6, rtol=1e-4)
            # Rounding decides whether a sweep hits a tolerance of 0, on all ranks alike.
            assert int(iterations) == int(ranks[0][f"{way}_{label}_{name}"][3])


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_all_ranks_have_the_same_scaling_to_the_last_bit(ranks, way):
    for label in SHARES[len(ranks)]:
        for name in PROBLEMS:
            first, *others = [got[f"{way}_{label}_{name}"][1] for got in ranks]
            assert all(torch.equal(first, other) for other in others)


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_ranks_stop_at_the_same_sweep(ranks, way):
    if way == "gather":
        # Newton steps tell the order in which the ranks' marginals were added, up to the tolerance.
        whole, atol = whole_problem("sharp", tolerance=1e-3), 1e-4
    else:
        log_kernel, row_shares = make_problem("sharp")
        settings = {"tolerance": 1e-3, "relative": False, "max_iterations": 100, "accelerate": True}
        whole, atol = solve_in_log_domain(log_kernel, row_shares.sum(0), stop_early=True, **settings), 1e-5
    assert 1 < int(whole.iterations) < 100
    for label, shares in SHARES[len(ranks)].items():
        for rank, got in enumerate(ranks):
            plan, _, error, iterations = got[f"{way}_{label}_stop"]
            assert int(iterations) == int(whole.iterations)
            assert float(error) <= 1e-3
            torch.testing.assert_close(plan, whole.plan[own_rows(shares, rank)], atol=atol, rtol=0)


@pytest.mark.ddp
def test_one_rank_that_is_done_stops_all_at_the_sweep_after(ranks):
    for got in ranks:
        assert got["over"] == [False, False, True]


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("what", "entry"), [("negative", -10.0), ("nan", torch.nan)])
def test_a_bad_marginal_on_one_rank_is_an_error_on_all(ranks, way, what, entry):
    num_ranks = float(len(ranks))
    total = [num_ranks, num_ranks, num_ranks + entry]
    for got in ranks:
        assert got[f"{way}_{what}"].startswith(f"`class_marginal` must be finite and >= 0; got {total}.")


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_nothing_on_any_rank_gives_nothing(ranks, way):
    for got in ranks:
        plan, _, error, _ = got[f"{way}_nothing"]
        assert plan.shape == (0, 3)
        assert float(error) == 0


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_float64_stays_and_the_marginal_is_the_callers(ranks, way):
    for got in ranks:
        plan, scaling, error, _ = got[f"{way}_float64"]
        assert plan.dtype == scaling.dtype == error.dtype == torch.float64
        torch.testing.assert_close(plan, torch.tensor([[0.0, 1 / 3, 2 / 3]] * 2, dtype=torch.float64))
        assert got[f"{way}_marginal_left_alone"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.ddp
def test_rows_travel_in_one_of_the_ways_only_and_the_rule_chooses(ranks):
    for got in ranks:
        assert got["gather_gathers"] == 1
        assert got["reduce_gathers"] == 0
        assert got["gathers_small"] == 1
        assert got["gathers_large"] == 0


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_a_group_of_some_of_the_ranks(ranks, way):
    if len(ranks) < 3:
        pytest.skip("a pair of two ranks is all of them")
    whole = whole_problem("sharp", **FIXED)
    plan = torch.cat([got[f"{way}_pair"][0] for got in ranks[1:]])
    torch.testing.assert_close(plan, whole.plan, atol=1e-5, rtol=0)
