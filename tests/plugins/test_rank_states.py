from __future__ import annotations

from pathlib import Path

import pytest
import torch
from spawned_ranks import run_ranks

from lt_callbacks.plugins.rank_states import of_all_ranks, rank_and_size


def test_one_process_is_the_only_rank():
    assert of_all_ranks({"a": 1}) == [{"a": 1}]
    assert rank_and_size() == (0, 1)


def gather(rank: int, folder: Path) -> None:
    torch.save((of_all_ranks({"rank": torch.tensor(rank)}), rank_and_size()), folder / f"{rank}.pt")


@pytest.mark.ddp
def test_every_rank_has_the_states_of_all_in_their_order(tmp_path):
    run_ranks(gather, tmp_path)
    for rank in range(2):
        states, place = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert states == [{"rank": torch.tensor(0)}, {"rank": torch.tensor(1)}]
        assert tuple(place) == (rank, 2)
