from __future__ import annotations

import math

from torch import Tensor

#: Mean and deviation of ImageNet's channels, used for all image files: their own would take a pass over every file.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1], rounded to four digits.

    Summed as integers, so that they are the same on every machine; a constant channel gets the deviation 1.

    Args:
        images: (N, C, H, W) uint8.
    """
    num_values = images.shape[0] * images.shape[2] * images.shape[3]
    means, deviations = [], []
    for channel in images.unbind(1):
        # the histogram spares a wide copy of the images
        counts = channel.flatten().bincount(minlength=256).tolist()
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value * value * count for value, count in enumerate(counts))
        means.append(round(total / num_values / 255, 4))
        variance = (squares * num_values - total * total) / num_values**2
        deviations.append(round(math.sqrt(variance) / 255, 4) or 1.0)
    return tuple(means), tuple(deviations)
