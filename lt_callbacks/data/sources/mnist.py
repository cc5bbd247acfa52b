from __future__ import annotations

import os

from lt_callbacks.data.image_set import Source
from lt_callbacks.data.sources.torchvision_folder import torchvision_folder


def mnist(*, root: str | os.PathLike[str]) -> Source:
    """MNIST: 60,000 and 10,000 grey handwritten digits of 28 by 28 pixels from torchvision's folder.

    Mean and deviation as published for it. Crops move by two pixels; nothing is mirrored.

    Args:
        root: Holds ``MNIST/raw`` as torchvision lays it out. Nothing is downloaded.

    Raises:
        FileNotFoundError: The files are missing or damaged; says what to put where.
    """
    from torchvision.datasets import MNIST

    return torchvision_folder(
        MNIST,
        name="mnist",
        root=root,
        holds="MNIST/raw",
        origin="the four idx-ubyte files of MNIST (unpacked from their .gz)",
        mean=(0.1307,),
        std=(0.3081,),
        crop_padding=2,
        flip=False,
    )
