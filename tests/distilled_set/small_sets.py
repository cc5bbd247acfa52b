"""Small distilled sets and models for the tests of this room."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lt_callbacks.distilled_set import DistilledSet

NAMES = ("cat", "dog", "eel", "fox")


def random_images(num_images=12, channels=3, height=8, width=8, *, seed=0, dtype=torch.uint8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_images, channels, height, width)
    if dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return torch.rand(shape, generator=generator)


def small_set(images: Tensor | None = None, *, names=NAMES, **changes) -> DistilledSet:
    """Images of four classes in no order, with statistics of their own for each channel."""
    images = random_images() if images is None else images
    channels = images.shape[1]
    values = {
        "images": images,
        "intended_class": (torch.arange(len(images)) * 7 + 3) % len(names),
        "class_names": names,
        "mean": tuple(0.4 + 0.05 * c for c in range(channels)),
        "std": tuple(0.2 + 0.01 * c for c in range(channels)),
        "provenance": {"method": "random", "seed": 0},
    }
    return DistilledSet(**{**values, **changes})


def small_model(distilled: DistilledSet, *, seed=0) -> nn.Module:
    """Dropout and batch statistics: a model whose logits show in which mode it was."""
    torch.manual_seed(seed)
    channels, height, width = distilled.image_shape
    model = nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * height * width, distilled.num_classes),
    )
    model[1].running_mean.normal_()
    return model
