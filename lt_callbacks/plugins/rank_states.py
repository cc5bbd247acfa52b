from __future__ import annotations

from typing import Any

import torch.distributed as dist

from lt_callbacks._ranks import all_ranks


def of_all_ranks(state: Any) -> list[Any]:
    """The states of all ranks, by rank; each rank must call this, as each calls `state_dict` when a trainer saves."""
    group = all_ranks()
    states: list[Any] = [state]
    if group is not None:
        states = [None] * dist.get_world_size(group)
        dist.all_gather_object(states, state, group=group)
    return states


def rank_and_size() -> tuple[int, int]:
    """Which rank of how many this process is."""
    group = all_ranks()
    return (0, 1) if group is None else (dist.get_rank(group), dist.get_world_size(group))
