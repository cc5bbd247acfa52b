from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from lt_callbacks._errors import StateError
from lt_callbacks.data.order import EpochOrder

Batch = tuple[Tensor, Tensor, Tensor]


class EpochLoader(ABC):
    """A loader of batches ``(image, label, index)`` in the order of an `EpochOrder`, resumable inside an epoch.

    Nothing is read before the first batch is asked for, because Lightning opens the iterator before it sets the epoch.
    Outside Lightning call ``loader.sampler.set_epoch(epoch)`` before each epoch, as with a ``DistributedSampler``.

    Args:
        sampler: Order and share of this rank.
    """

    #: The third item of a batch is the samples' identity, whoever reads it.
    gives_sample_index = True
    # Lightning reads it of everything that has a sampler.
    batch_sampler = None

    def __init__(self, sampler: EpochOrder) -> None:
        self.sampler = sampler
        self.batch_size = sampler.batch_size
        self._epoch = self._num_batches_given = 0
        self._is_resuming = False

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        if not (self._is_resuming and self._epoch == self.sampler.epoch):
            self._epoch, self._num_batches_given = self.sampler.epoch, 0
        self._is_resuming = False
        self.sampler.start_at(self._num_batches_given)
        for batch in self._batches():
            self._num_batches_given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch is; Lightning saves it with the checkpoint."""
        return {"epoch": self._epoch, "batches": self._num_batches_given, "num_batches": len(self)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the saved epoch after the saved batch, should that epoch be the next one to run."""
        done, total = state_dict["batches"], state_dict["num_batches"]
        if not 0 < done < total:
            return
        if total != len(self):
            raise StateError(
                f"The checkpoint was saved after batch {done} of {total}, but this loader has {len(self)} batches an "
                "epoch. Resume with the same data, `batch_size` and number of devices."
            )
        self._epoch, self._num_batches_given, self._is_resuming = state_dict["epoch"], done, True

    @abstractmethod
    def _batches(self) -> Iterator[Batch]:
        """The batches of ``self.sampler``, iterated once."""
