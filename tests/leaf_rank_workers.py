"""What each rank does in test_ranks.py of the leaf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.testing._internal.distributed.fake_pg  # registers a backend that carries nothing

from lt_callbacks._ranks import _host_group, all_ranks, gather_rows, share_lengths

#: Rows of each rank.
SHARES = {
    2: {"even": (3, 3), "uneven": (5, 1), "second_empty": (4, 0), "first_empty": (0, 4), "none": (0, 0)},
    3: {"even": (2, 2, 2), "uneven": (1, 5, 2), "middle_empty": (3, 0, 1), "only_last": (0, 0, 4), "none": (0, 0, 0)},
}

MAKE = {
    "float_matrix": lambda n: torch.arange(3.0 * n).reshape(n, 3) / 7,
    # Beyond what a float could carry.
    "int_vector": lambda n: torch.arange(n) + 2**60 + 1,
    "int_matrix": lambda n: torch.arange(2 * n).reshape(n, 2) - 2**60,
    "double_vector": lambda n: torch.arange(n, dtype=torch.float64) / 3,
    "float_no_columns": lambda n: torch.zeros(n, 0),
}


def own_rows(shares: tuple[int, ...], rank: int) -> slice:
    return slice(sum(shares[:rank]), sum(shares[: rank + 1]))


def leaf_worker(rank: int, folder: Path) -> None:
    num_ranks, world = dist.get_world_size(), dist.group.WORLD
    results: dict[str, Any] = {"all_ranks": all_ranks() is world}
    for name, shares in SHARES[num_ranks].items():
        results[f"{name}_lengths"] = share_lengths(shares[rank], world)
        for kind, make in MAKE.items():
            own = make(sum(shares))[own_rows(shares, rank)]
            results[f"{name}_{kind}"] = gather_rows(own, world)
            results[f"{name}_{kind}_known"] = gather_rows(own, world, lengths=list(shares))
    # Not contiguous, as a column of something larger.
    results["column"] = gather_rows(torch.arange(8.0).reshape(4, 2)[:, 1] + 10 * rank, world)
    own = torch.zeros(2, 3) + rank
    gather_rows(own, world)
    results["left_alone"] = own

    results["gloo_is_its_own"] = _host_group(world) is world
    silent = dist.new_group(list(range(num_ranks)), backend="fake")
    # Only gloo can have carried these.
    results["twin_lengths"] = [share_lengths(10 * turn + rank, silent) for turn in range(2)]
    results["twin_is_kept"] = _host_group(silent) is _host_group(silent) is not silent

    if num_ranks == 3:
        pair, silent_pair = dist.new_group([1, 2]), dist.new_group([2, 0], backend="fake")
        if rank:
            results["pair_lengths"] = share_lengths(rank, pair)
            results["pair_rows"] = gather_rows(torch.full((rank, 2), float(rank)), pair)
        # Rank 1 does not take part, nor has it to call.
        if rank != 1:
            results["silent_pair_lengths"] = share_lengths(100 + rank, silent_pair)
            results["silent_pair_ranks"] = dist.get_process_group_ranks(_host_group(silent_pair))
    torch.save(results, folder / f"rank{rank}.pt")
