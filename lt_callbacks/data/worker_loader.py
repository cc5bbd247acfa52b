from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from lt_callbacks._checks import integer
from lt_callbacks.data.epoch_loader import Batch, EpochLoader
from lt_callbacks.data.order import EpochOrder
from lt_callbacks.data.worker_dataset import WorkerDataset


class WorkerLoader(EpochLoader):
    """A loader whose worker processes read and augment ahead of time; the same batches for any number of workers.

    Workers start anew each epoch, so that no process outlives the loop.

    Args:
        dataset: Gives a batch for a key.
        sampler: On the CPU.
        num_workers: Processes; 0 reads in the main one.
        pin_memory: Whether batches go to page-locked memory, for a GPU.
    """

    def __init__(
        self, *, dataset: WorkerDataset, sampler: EpochOrder, num_workers: int = 0, pin_memory: bool = False
    ) -> None:
        super().__init__(sampler)
        self._loader = DataLoader(
            dataset,
            sampler=sampler,  # type: ignore[arg-type]  # any iterable of keys
            batch_size=None,
            num_workers=integer("num_workers", num_workers, at_least=0),
            pin_memory=pin_memory,
            # Its own generator: DataLoader otherwise draws the workers' seed from the global one.
            generator=torch.Generator().manual_seed(0),
        )

    def _batches(self) -> Iterator[Batch]:
        for batch in self._loader:
            yield tuple(batch)  # DataLoader makes lists of tuples
