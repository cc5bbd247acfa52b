from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor

from lt_callbacks._errors import StateError
from lt_callbacks.relabel.ranks import OutcomeT


class TrainerRanks:
    """The ranks of a trainer as those of a relabelling, see `lt_callbacks.relabel.ranks.Ranks`.

    Args:
        trainer: While its strategy is set up.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._strategy = trainer.strategy
        self.rank, self.num_ranks = trainer.global_rank, trainer.world_size

    def total(self, values: Tensor) -> Tensor:
        """The sum of ``values`` over all ranks."""
        if self.num_ranks == 1:
            return values
        return self._strategy.reduce(values.to(self._strategy.root_device), reduce_op="sum")  # type: ignore[return-value]

    def together(self, work: Callable[[], OutcomeT]) -> OutcomeT:
        """Do ``work``; if it fails on any rank, raise on all of them, so that none waits in vain for another."""
        error: Exception | None = None
        outcome: Any = None
        try:
            outcome = work()
        except Exception as caught:
            error = caught
        all_are_well = self._strategy.reduce_boolean_decision(error is None)
        if error is not None:
            raise error
        if not all_are_well:
            raise StateError("ADSACallback must succeed on all ranks; another rank failed, its own message says why.")
        return outcome
