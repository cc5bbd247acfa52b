from __future__ import annotations

import os

from lt_callbacks.data.image_set import Source
from lt_callbacks.data.sources.torchvision_folder import torchvision_folder


def fashion_mnist(*, root: str | os.PathLike[str]) -> Source:
    """Fashion-MNIST: 60,000 and 10,000 grey images of clothes, 28 by 28 pixels, from torchvision's folder.

    Mean and deviation as published for it. Crops move by two pixels.

    Args:
        root: Holds ``FashionMNIST/raw`` as torchvision lays it out. Nothing is downloaded.

    Raises:
        FileNotFoundError: The files are missing or damaged; says what to put where.
    """
    from torchvision.datasets import FashionMNIST

    return torchvision_folder(
        FashionMNIST,
        name="fashion_mnist",
        root=root,
        holds="FashionMNIST/raw",
        origin="the four idx-ubyte files of Fashion-MNIST (unpacked from their .gz)",
        mean=(0.2860,),
        std=(0.3530,),
        crop_padding=2,
        flip=True,
    )
