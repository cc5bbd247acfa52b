# Legend: R ranks, N samples over all ranks, C classes.
from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

# Where a rank's share has this many entries, a row counted as ROW_ENTRIES more than it has, both ways take about as
# long. A rough figure, from several runs of 20 sweeps over 10, 100 and 1000 classes, 2 and 3 gloo processes on a
# machine with 2 cores: break-even points lay between 0.15 and 1.1 million, lower the busier it was. One run's are in
# docs/results/transport-ranks.json, written by docs/benchmarks/transport_ranks.py.
ROW_ENTRIES = 30
ENTRIES_TO_REDUCE = 400_000

#: "gather" or "reduce": that way whatever the size, on all ranks alike; None: the faster one.
FORCED: str | None = None


def holds_own_rows(lengths: list[int], num_classes: int, *, max_iterations: int, device: torch.device) -> bool:
    """Whether each rank should keep its own rows and reduce the column sums of every sweep ("reduce").

    The other way ("gather") is to hand all rows to all ranks once, each of which then makes the same sweeps. Reducing
    spares a rank the other ranks' rows in each sweep and costs an all-reduce, whose time grows with the number of ranks
    and hardly with C; so it pays where an average share of the others is large: more than about 3100 rows of
    100 classes. The number of sweeps stands on both sides (1 to 100 of them did not change which way won), so that it
    matters only at 0, where nothing but sums of columns is asked for.

    On a GPU the sweeps of any usual batch cost less than the calls that start them, and all ``max_iterations`` of them
    run; they gather. This has not been measured.

    Every argument is known on the host and equal on all ranks, so that the answer is too.

    Args:
        lengths: Rows of each rank, of :func:`lt_callbacks._ranks.share_lengths`.
        num_classes: C.
        max_iterations: Limit of sweeps; 0 where there are none.
        device: Of the rows.
    """
    if FORCED is not None:
        return FORCED == "reduce"
    if max_iterations == 0:
        return True
    if device.type != "cpu":
        return False
    spared = (sum(lengths) - max(lengths)) * (num_classes + ROW_ENTRIES)
    return spared > ENTRIES_TO_REDUCE * (len(lengths) - 1)


class WholeProblem:
    """The sums of a process that holds all rows: its own are the whole ones already."""

    def first(self, column_lse: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
        """(C,) log-sum-exp of each column and the 0-d number of present rows, over all rows of the problem."""
        return column_lse, mass

    def add(self, part: Tensor) -> Tensor:
        """(K,) sums over all rows of the problem, from those over the rows held here."""
        return part

    def is_over(self, is_done: Tensor) -> bool:
        """Whether to leave the sweeps, after one that found the 0-d bool ``is_done``; read on the host."""
        return bool(is_done)


class RankSums(WholeProblem):
    """The sums of ranks that hold their own rows only; all ranks must make the same calls in the same order.

    Ranks leave the sweeps together even where processors of two kinds round the error differently: what a rank has
    found travels with the next sweep's column sums, and all stop where one is done. That costs one sweep more, which
    changes nothing, since a converged scaling is a fixed point.

    Args:
        group: The ranks that share the problem.
    """

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self._vote: Tensor | None = None
        self._votes = torch.zeros(0)

    def first(self, column_lse: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
        """One all-gather of C + 1 numbers; a sum of exponentials could not be reduced without its maximum."""
        own = torch.cat([column_lse, mass[None]])
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size(self._group))]
        dist.all_gather(parts, own, group=self._group)
        joint = torch.stack(parts)
        return joint[:, :-1].logsumexp(dim=0), joint[:, -1].sum()

    def add(self, part: Tensor) -> Tensor:
        """One all-reduce."""
        message = part.clone() if self._vote is None else torch.cat([part, self._vote])
        dist.all_reduce(message, group=self._group)
        self._votes = message[len(part) :]
        return message[: len(part)]

    def is_over(self, is_done: Tensor) -> bool:
        """Whether a rank was done one sweep ago."""
        self._vote = is_done[None].to(torch.float32)
        return bool((self._votes > 0).any())
