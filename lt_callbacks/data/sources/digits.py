from __future__ import annotations

import numpy as np
import torch

from lt_callbacks._checks import real
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import channel_statistics
from lt_callbacks.data.validation_split import held_out

#: Of the split into training and test set. A constant: the test set is a fact of the data set, not a setting of a run.
SPLIT_SEED = 0


def digits(*, test_fraction: float = 1 / 3) -> Source:
    """scikit-learn's bundled handwritten digits: 1,797 grey images of 8 by 8 pixels, 10 classes, no download.

    The 17 grey levels are stretched to 0..255. Mean and deviation are those of the training images. Crops move by one
    pixel; nothing is mirrored.

    Args:
        test_fraction: Share of each class in the test set, in (0, 0.9]. The same split for everybody.
    """
    from sklearn.datasets import load_digits

    real("test_fraction", test_fraction, above=0.0, at_most=0.9)
    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images, labels = torch.from_numpy(pixels).unsqueeze(1), bunch.target.astype(np.int64)
    everything = np.arange(len(labels))
    test = held_out(labels, everything, fraction=test_fraction, seed=SPLIT_SEED, purpose="digits test set")
    train = np.setdiff1d(everything, test, assume_unique=True)
    mean, std = channel_statistics(images[train])
    return Source(
        name="digits",
        train=ImageSet(images=images[train], labels=labels[train]),
        test=ImageSet(images=images[test], labels=labels[test]),
        class_names=tuple(str(digit) for digit in range(10)),
        mean=mean,
        std=std,
        crop_padding=1,
        flip=False,
    )
