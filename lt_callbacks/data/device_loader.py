from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.data.augment import BatchView
from lt_callbacks.data.epoch_loader import Batch, EpochLoader
from lt_callbacks.data.order import EpochOrder


class DeviceLoader(EpochLoader):
    """A loader of a data set that lives on the training device as uint8: batches are gathered and augmented there.

    No worker, no copy and no host synchronisation in a step.

    Args:
        images: (N, C, H, W) uint8, by index.
        labels: (N,) int64, by index, on the same device.
        sampler: Its indices are positions in ``images``, on the same device.
        view: From stored images to those of a batch, on the same device.

    Raises:
        ValueError: The tensors are on different devices or have different lengths.
    """

    def __init__(self, *, images: Tensor, labels: Tensor, sampler: EpochOrder, view: BatchView) -> None:
        super().__init__(sampler)
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise ArgumentValueError(
                "images",
                rule=f"be uint8 (N, C, H, W) with one of the {len(labels)} `labels` each",
                got=f"{images.dtype}, shape {tuple(images.shape)}",
                way_out="Pass an ImageSet's tensors.",
            )
        if not images.device == labels.device == sampler.indices.device:
            raise ArgumentValueError(
                "images",
                rule="be on one device with `labels` and the sampler's indices",
                got=f"{images.device}, {labels.device} and {sampler.indices.device}",
                way_out="Move them with `.to(device)`.",
            )
        self.images, self.labels, self.view = images, labels, view

    def _batches(self) -> Iterator[Batch]:
        for epoch, index in self.sampler:
            images = self.view(self.images.index_select(0, index), index, epoch=epoch)
            yield images, self.labels.index_select(0, index), index
