from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError
from lt_callbacks.data.augment import BatchView
from lt_callbacks.data.class_balance import ClassBalance
from lt_callbacks.data.device_loader import DeviceLoader
from lt_callbacks.data.epoch_loader import EpochLoader
from lt_callbacks.data.image_set import Source
from lt_callbacks.data.order import EpochOrder
from lt_callbacks.data.worker_dataset import WorkerDataset
from lt_callbacks.data.worker_loader import WorkerLoader


def build_loader(
    *,
    images: Tensor | tuple[Path, ...],
    labels: Tensor,
    indices: np.ndarray,
    source: Source,
    augment: bool,
    batch_size: int,
    shuffle: bool,
    seed: int,
    num_replicas: int,
    rank: int,
    workers: int | None,
    pin_memory: bool = False,
    is_class_balanced: bool = False,
) -> EpochLoader:
    """Build the loader of some samples of a data set, normalised and augmented as its source says.

    Args:
        images: By index: a uint8 tensor, or paths of image files.
        labels: (N,) int64, by index, on the images' device.
        indices: int64, the samples to load.
        source: Says how images are normalised and augmented.
        augment: Whether the views are random.
        batch_size: On each rank.
        shuffle: Whether each epoch has its own order.
        seed: Of order and augmentation.
        num_replicas: Ranks that share the samples.
        rank: This one.
        workers: Worker processes; None: no workers, batches are made where the tensors are.
        pin_memory: For batches of workers that go to a GPU.
        is_class_balanced: Whether an epoch is draws with replacement, all classes equally often.
    """
    view = BatchView(
        mean=source.mean,
        std=source.std,
        crop_padding=source.crop_padding if augment else 0,
        flip=source.flip and augment,
        seed=seed,
        device=labels.device,
    )
    samples = torch.tensor(indices).to(labels.device)
    sampler = EpochOrder(
        indices=samples,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        num_replicas=num_replicas,
        rank=rank,
        class_balance=ClassBalance(labels=labels.index_select(0, samples)) if is_class_balanced else None,
    )
    if workers is None:
        if not isinstance(images, Tensor):
            raise ArgumentTypeError(
                "images",
                rule="be a tensor where there are no workers",
                got="file paths",
                way_out="Pass `workers`.",
            )
        return DeviceLoader(images=images, labels=labels, sampler=sampler, view=view)
    file_crop = "fit" if source.crop_padding else "random" if augment else "center"
    dataset = WorkerDataset(
        images=images, labels=labels, image_size=source.image_shape[1:], view=view, file_crop=file_crop
    )
    return WorkerLoader(dataset=dataset, sampler=sampler, num_workers=workers, pin_memory=pin_memory)
