# Legend: R ranks, C classes.
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor


class ColumnSums(ABC):
    """How a solver completes its sums over the rows it holds to sums over all rows of the problem.

    Sweeps read nothing of a row but what it adds to the columns, so that a solver which asks here for every sum works
    alike where rows are spread over processes. All processes make the same calls in the same order.
    """

    #: Whether the sums made here are the whole ones, so that solvers that add up by themselves may be taken.
    holds_all_rows: ClassVar[bool]

    @abstractmethod
    def total(self, part: Tensor) -> Tensor:
        """(K,) sums over all rows, from those over the rows held here."""

    @abstractmethod
    def log_total(self, column_lse: Tensor, num_present: Tensor) -> tuple[Tensor, Tensor]:
        """(C,) log-sum-exp of each column and 0-d number of present rows, over all rows; from those held here."""

    @abstractmethod
    def should_stop(self, has_converged: Tensor) -> bool:
        """Whether to leave the sweeps, after one that found the 0-d bool ``has_converged``; read on the host."""


class LocalSums(ColumnSums):
    """The sums of a process that holds all rows: its own are the whole ones."""

    holds_all_rows = True

    def total(self, part: Tensor) -> Tensor:
        """``part`` itself."""
        return part

    def log_total(self, column_lse: Tensor, num_present: Tensor) -> tuple[Tensor, Tensor]:
        """``column_lse`` and ``num_present`` themselves."""
        return column_lse, num_present

    def should_stop(self, has_converged: Tensor) -> bool:
        """Whether the sweeps have converged."""
        return bool(has_converged)


class RankSums(ColumnSums):
    """The sums of ranks that hold their own rows only.

    Ranks leave the sweeps together even where processors of two kinds round the error differently: what a rank has
    found travels with the next sweep's column sums, and all stop where one has converged. That costs one sweep more,
    which changes nothing, since a converged scaling is a fixed point.

    Args:
        group: The ranks that share the problem.
    """

    holds_all_rows = False

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self._vote: Tensor | None = None
        self._votes = torch.zeros(0)

    def total(self, part: Tensor) -> Tensor:
        """One all-reduce, which carries this rank's vote to stop."""
        message = part.clone() if self._vote is None else torch.cat([part, self._vote])
        dist.all_reduce(message, group=self._group)
        self._votes = message[len(part) :]
        return message[: len(part)]

    def log_total(self, column_lse: Tensor, num_present: Tensor) -> tuple[Tensor, Tensor]:
        """One all-gather of C + 1 numbers; a sum of exponentials could not be reduced without its maximum."""
        own = torch.cat([column_lse, num_present[None]])
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size(self._group))]
        dist.all_gather(parts, own, group=self._group)
        joint = torch.stack(parts)
        return joint[:, :-1].logsumexp(dim=0), joint[:, -1].sum()

    def should_stop(self, has_converged: Tensor) -> bool:
        """Whether a rank had converged one sweep ago."""
        self._vote = has_converged[None].to(torch.float32)
        return bool((self._votes > 0).any())
