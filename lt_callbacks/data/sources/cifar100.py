from __future__ import annotations

import os

from lt_callbacks.data.image_set import Source
from lt_callbacks.data.sources.torchvision_folder import torchvision_folder


def cifar100(*, root: str | os.PathLike[str]) -> Source:
    """CIFAR-100: 50,000 and 10,000 colour images of 32 by 32 pixels, 100 fine classes, from torchvision's folder.

    Mean and deviation as the noisy-label literature has them (TABASCO, DivideMix). Crops move by four pixels.

    Args:
        root: Holds ``cifar-100-python`` as torchvision lays it out. Nothing is downloaded.

    Raises:
        FileNotFoundError: The files are missing or damaged; says what to put where.
    """
    from torchvision.datasets import CIFAR100

    return torchvision_folder(
        CIFAR100,
        name="cifar100",
        root=root,
        holds="cifar-100-python",
        origin="the content of cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        mean=(0.507, 0.487, 0.441),
        std=(0.267, 0.256, 0.276),
        crop_padding=4,
        flip=True,
    )
