# Legend: R ranks, N samples over all ranks, C classes.
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._ranks import gather_rows, share_lengths
from lt_callbacks.transport.column_sums import ColumnSums, LocalSums, RankSums

# Where a rank's share has this many entries, a row counted as ROW_ENTRIES more than it has, both ways take about as
# long. A rough figure, from several runs of 20 sweeps over 10, 100 and 1000 classes, 2 and 3 gloo processes on a
# machine with 2 cores: break-even points lay between 0.15 and 1.1 million, lower the busier it was. One run's are in
# docs/results/transport-ranks.json, written by docs/benchmarks/transport_ranks.py.
ROW_ENTRIES = 30
ENTRIES_TO_REDUCE = 400_000

#: "gather" or "reduce": that way whatever the size, on all ranks alike; None: the faster one.
FORCED: str | None = None


class HeldRows(NamedTuple):
    """The rows of a transport problem that a process works on: its own ones or, after a gathering, those of all ranks.

    Attributes:
        parts: (N_held, ...) each, what there is of every row.
        class_marginal: (C,) of the whole problem; None where it is made of the rows later.
        own: Where this rank's rows are among the held ones.
        num_rows: N.
        num_ranks: R.
        sums: How sums over the held rows become sums over all of them.
    """

    parts: tuple[Tensor, ...]
    class_marginal: Tensor | None
    own: slice
    num_rows: int
    num_ranks: int
    sums: ColumnSums


def hold_rows(
    parts: Sequence[Tensor],
    class_marginal: Tensor | None = None,
    *,
    process_group: dist.ProcessGroup | None,
    num_sweeps: int,
    may_reduce: bool = True,
) -> HeldRows:
    """Decide which rows this process works on, and bring them here; every rank of ``process_group`` must call.

    Args:
        parts: (N_own, K) each, this rank's share of the rows.
        class_marginal: (C,) this rank's contribution to the class marginal, where it is known already.
        process_group: The ranks that share the problem; None: this process has all of it.
        num_sweeps: Limit of sweeps that are to follow; 0 where there are none.
        may_reduce: False: the solver to come, or what is to be remembered of the rows, needs all of them.
    """
    num_own = len(parts[0])
    if process_group is None:
        return HeldRows(tuple(parts), class_marginal, slice(0, num_own), num_own, 1, LocalSums())
    lengths = share_lengths(num_own, process_group)
    num_rows, num_ranks = sum(lengths), len(lengths)
    num_classes, device = parts[0].shape[1], parts[0].device
    if may_reduce and reducing_pays(lengths, num_classes, num_sweeps=num_sweeps, device=device):
        sums = RankSums(process_group)
        total = None if class_marginal is None else sums.total(class_marginal)
        return HeldRows(tuple(parts), total, slice(0, num_own), num_rows, num_ranks, sums)
    start = sum(lengths[: dist.get_rank(process_group)])
    all_parts, total = _gather(parts, class_marginal, process_group, lengths)
    return HeldRows(all_parts, total, slice(start, start + num_own), num_rows, num_ranks, LocalSums())


def reducing_pays(lengths: list[int], num_classes: int, *, num_sweeps: int, device: torch.device) -> bool:
    """Whether each rank should keep its own rows and reduce the column sums of every sweep ("reduce").

    The other way ("gather") is to hand all rows to all ranks once, each of which then makes the same sweeps. Reducing
    spares a rank the other ranks' rows in each sweep and costs an all-reduce, whose time grows with the number of ranks
    and hardly with C; so it pays where an average share of the others is large: more than about 3100 rows of
    100 classes. The number of sweeps stands on both sides (1 to 100 of them did not change which way won), so that it
    matters only at 0, where nothing but sums of columns is asked for.

    On a GPU the sweeps of any usual batch cost less than the calls that start them, and all of them run; they gather.
    This has not been measured.

    Every argument is known on the host and equal on all ranks, so that the answer is too.

    Args:
        lengths: Rows of each rank, of :func:`lt_callbacks._ranks.share_lengths`.
        num_classes: C.
        num_sweeps: Limit of sweeps; 0 where there are none.
        device: Of the rows.
    """
    if FORCED is not None:
        return FORCED == "reduce"
    if num_sweeps == 0:
        return True
    if device.type != "cpu":
        return False
    spared = (sum(lengths) - max(lengths)) * (num_classes + ROW_ENTRIES)
    return spared > ENTRIES_TO_REDUCE * (len(lengths) - 1)


def _gather(
    parts: Sequence[Tensor], class_marginal: Tensor | None, group: dist.ProcessGroup, lengths: list[int]
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    """All ranks' rows and the sum of their contributions to the class marginal, by one all-gather."""
    rows, total = torch.cat(tuple(parts), dim=1), None
    if class_marginal is None:
        joint = torch.cat(gather_rows(rows, group, lengths=lengths))
    else:
        # A rank's contribution travels as the last row of its share.
        shares = gather_rows(torch.cat([rows, class_marginal[None]]), group, lengths=[n + 1 for n in lengths])
        joint = torch.cat([share[:-1] for share in shares])
        total = torch.stack([share[-1] for share in shares]).sum(dim=0)
    return joint.split([part.shape[1] for part in parts], dim=1), total
