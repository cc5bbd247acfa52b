from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import Tensor

OutcomeT = TypeVar("OutcomeT")


class Ranks(Protocol):
    """Processes that relabel a set together: each fits on its share of the images and labels its share of the views.

    Attributes:
        rank: Of this process, from 0.
        num_ranks: How many there are.
    """

    rank: int
    num_ranks: int

    def total(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over all ranks."""

    def together(self, work: Callable[[], OutcomeT]) -> OutcomeT:
        """Do ``work``, and raise on all ranks where it fails on any, so that none waits in vain for another."""


class OneProcess:
    """A process that relabels a set alone."""

    rank = 0
    num_ranks = 1

    def total(self, values: Tensor) -> Tensor:
        """The ``values`` themselves."""
        return values

    def together(self, work: Callable[[], OutcomeT]) -> OutcomeT:
        """Do ``work``, and return its outcome."""
        return work()
