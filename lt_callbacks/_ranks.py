"""What the ranks of a process group tell each other about their shares of a batch. Torch only."""

from __future__ import annotations

import weakref
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

# A group's gloo twin; made once, by all its ranks together.
_TWINS: weakref.WeakKeyDictionary[dist.ProcessGroup, dist.ProcessGroup] = weakref.WeakKeyDictionary()


def all_ranks() -> dist.ProcessGroup | None:
    """The process group of all ranks; None outside of data-parallel training."""
    is_parallel = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return dist.group.WORLD if is_parallel else None


def share_lengths(length: int, group: dist.ProcessGroup) -> list[int]:
    """How many rows each rank has, in rank order; every rank of ``group`` must call this.

    The numbers are known on the host and travel between hosts, by a gloo group: read off a GPU, they would make the
    host wait for everything that it has queued there.
    """
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size(group))]
    dist.all_gather(lengths, torch.tensor([length], dtype=torch.int64), group=_host_group(group))
    return torch.cat(lengths).tolist()


def gather_rows(rows: Tensor, group: dist.ProcessGroup, *, lengths: list[int] | None = None) -> list[Tensor]:
    """The rows of all ranks, a tensor each in rank order; shares may differ in length and may be empty.

    One all-gather carries the payload, padded to the longest share.

    Args:
        rows: (N_rank, K) or (N_rank,) this rank's share, K and dtype equal on all ranks.
        group: The ranks that share the problem.
        lengths: Of `share_lengths`, where they are known already.
    """
    lengths = share_lengths(len(rows), group) if lengths is None else lengths
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    blocks = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(blocks, padded, group=group)
    return [block[:length] for block, length in zip(blocks, lengths, strict=True)]


def _host_group(group: dist.ProcessGroup) -> dist.ProcessGroup:
    """``group`` itself where it carries tensors of the CPU, otherwise its twin."""
    if "gloo" in dist.get_backend_config(group):
        return group
    if group not in _TWINS:
        twin = dist.new_group(
            ranks=dist.get_process_group_ranks(group),
            backend="gloo",
            use_local_synchronization=group != dist.group.WORLD,
        )
        # A rank that is no member would get a number; one that is in the group is in its twin.
        _TWINS[group] = cast("dist.ProcessGroup", twin)
    return _TWINS[group]
