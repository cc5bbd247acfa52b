from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(rows: Tensor, group: dist.ProcessGroup) -> list[Tensor]:
    """The shares of all ranks, in rank order; they may differ in length and may be empty.

    One all-gather carries the payload, padded to the longest share. The lengths travel before it, one integer a rank,
    because a padded row cannot be told from a real one.

    Args:
        rows: (N_rank, K) this rank's share, K and dtype equal on all ranks.
        group: The ranks that share the problem.
    """
    num_ranks = dist.get_world_size(group)
    lengths_by_rank = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(num_ranks)]
    dist.all_gather(lengths_by_rank, torch.tensor([len(rows)], dtype=torch.int64, device=rows.device), group=group)
    lengths = torch.cat(lengths_by_rank).tolist()

    padded = rows.new_zeros(max(lengths), rows.shape[1])
    padded[: len(rows)] = rows
    blocks = [torch.empty_like(padded) for _ in range(num_ranks)]
    dist.all_gather(blocks, padded, group=group)
    return [block[:length] for block, length in zip(blocks, lengths, strict=True)]
