from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.data import BatchView, LongTailedDataModule


def removed_images(datamodule: LongTailedDataModule) -> DataLoader[tuple[Tensor, ...]]:
    """Batches (image, true label, position) of the training images that the imbalance took away.

    Nobody trained on them and they are not the test set: settings may be chosen on them.

    Raises:
        ValueError: The imbalance took none away, or the images are files.
    """
    source = datamodule.source
    positions = np.setdiff1d(np.arange(len(source.train)), datamodule.manifest.indices)
    if len(positions) == 0 or not isinstance(source.train.images, Tensor):
        raise ArgumentValueError(
            "score_on",
            rule="be 'test' where the imbalance leaves no image in memory out",
            got=f"'removed' with {len(positions)} left out of {source.name!r}",
            way_out="Change it, or raise imbalance.factor.",
        )
    index = torch.tensor(positions)
    view = BatchView(mean=source.mean, std=source.std)
    images = torch.cat([view(source.train.images[part], part, epoch=0) for part in index.split(512)])
    return DataLoader(
        TensorDataset(images, torch.tensor(source.train.labels[positions]), index),
        batch_size=datamodule.eval_batch_size,
    )
