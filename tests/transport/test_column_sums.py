"""Sums over rows that are all here, and over those of a group; over several ranks in test_held_rows.py."""

from __future__ import annotations

import pytest
import torch
from spawned_ranks import group_of_one

from lt_callbacks.transport.column_sums import LocalSums, RankSums


@pytest.fixture(params=["local", "ranks"])
def sums(request):
    if request.param == "local":
        yield LocalSums()
        return
    with group_of_one() as group:
        yield RankSums(group)


def test_sums_of_one_process_are_the_whole_ones(sums):
    part = torch.tensor([1.0, 2.0])
    assert torch.equal(sums.total(part), part)
    column_lse, num_present = sums.log_total(torch.tensor([0.5, -torch.inf]), torch.tensor(3.0))
    assert column_lse.tolist() == [0.5, -torch.inf]
    assert float(num_present) == 3.0


def test_the_argument_is_left_alone(sums):
    part = torch.ones(2)
    sums.total(part)
    sums.should_stop(torch.tensor(True))
    sums.total(part)
    assert part.tolist() == [1.0, 1.0]


def test_only_local_sums_are_those_of_all_rows():
    assert LocalSums().holds_all_rows
    with group_of_one() as group:
        assert not RankSums(group).holds_all_rows


def test_local_sums_stop_at_convergence():
    sums = LocalSums()
    assert not sums.should_stop(torch.tensor(False))
    assert sums.should_stop(torch.tensor(True))


def test_ranks_stop_one_sweep_after_it():
    with group_of_one() as group:
        sums, stops = RankSums(group), []
        for has_converged in (False, True, True):
            sums.total(torch.zeros(2))
            stops.append(sums.should_stop(torch.tensor(has_converged)))
    assert stops == [False, False, True]
