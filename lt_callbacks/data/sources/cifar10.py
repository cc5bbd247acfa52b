from __future__ import annotations

import os

from lt_callbacks.data.image_set import Source
from lt_callbacks.data.sources.torchvision_folder import torchvision_folder


def cifar10(*, root: str | os.PathLike[str]) -> Source:
    """CIFAR-10: 50,000 and 10,000 colour images of 32 by 32 pixels, 10 classes, from torchvision's folder.

    Mean and deviation as the noisy-label literature has them (TABASCO, DivideMix). Crops move by four pixels.

    Args:
        root: Holds ``cifar-10-batches-py`` as torchvision lays it out. Nothing is downloaded.

    Raises:
        FileNotFoundError: The files are missing or damaged; says what to put where.
    """
    from torchvision.datasets import CIFAR10

    return torchvision_folder(
        CIFAR10,
        name="cifar10",
        root=root,
        holds="cifar-10-batches-py",
        origin="the content of cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        crop_padding=4,
        flip=True,
    )
