"""The data that training is timed on: CIFAR-10, a user's arrays, or images made up here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import SOURCES, ImageSet, LongTailedDataModule, Source

#: Side in pixels of made-up images, and the largest shift of their patterns.
SIDE, SHIFT = 32, 4
#: Deviation of the pixels' noise over that of the classes' patterns.
NOISE = 1.0

#: What the training set becomes: largest over smallest class, share of wrong labels.
IMBALANCE_FACTOR, NOISE_RATIO = 10.0, 0.2


def build_source(data: str | None, *, num_classes: int, num_train: int, num_test: int, seed: int) -> Source:
    """The clean data set that training is timed on.

    Args:
        data: Folder with ``cifar-10-batches-py`` or ``cifar-100-python``, an ``.npz`` file as of the source ``arrays``,
            or None for made-up images.
        num_classes: C of made-up images.
        num_train: Training samples of made-up images.
        num_test: Test samples of made-up images.
        seed: Of made-up images.

    Raises:
        FileNotFoundError, ValueError: There is no such data.
    """
    if data is None:
        return made_up(num_classes=num_classes, num_train=num_train, num_test=num_test, seed=seed)
    path = Path(data)
    if path.is_file():
        return SOURCES["arrays"](path=path)
    if (path / "cifar-100-python").exists() and not (path / "cifar-10-batches-py").exists():
        return SOURCES["cifar100"](root=path)
    return SOURCES["cifar10"](root=path)


def made_up(*, num_classes: int, num_train: int, num_test: int, seed: int) -> Source:
    """Colour images of 32 by 32 pixels: smooth patterns, one a class, moved at random under noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(num_classes, 3, 6, 6, generator=generator)
    patterns = torch.nn.functional.interpolate(coarse, size=SIDE + 2 * SHIFT, mode="bicubic", align_corners=False)
    train_images, train_labels = _drawn(patterns, num_train, generator)
    test_images, test_labels = _drawn(patterns, num_test, generator)
    pixels = train_images[:1000].double()
    mean, std = pixels.mean((0, 2, 3)) / 255, pixels.std((0, 2, 3)) / 255
    return Source(
        name="made_up",
        train=ImageSet(images=train_images, labels=train_labels),
        test=ImageSet(images=test_images, labels=test_labels),
        class_names=tuple(str(number) for number in range(num_classes)),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        crop_padding=4,
        flip=False,
    )


def _drawn(patterns: Tensor, num_images: int, generator: torch.Generator) -> tuple[Tensor, np.ndarray]:
    """(N, 3, H, W) uint8 images and (N,) int64 labels, of all classes in turn."""
    labels = torch.arange(num_images) % len(patterns)
    images = torch.empty(num_images, 3, SIDE, SIDE, dtype=torch.uint8)
    shifts = torch.randint(0, 2 * SHIFT + 1, (num_images, 2), generator=generator).tolist()
    for position, (down, right) in enumerate(shifts):
        view = patterns[labels[position], :, down : down + SIDE, right : right + SIDE]
        noisy = view + NOISE * torch.randn(view.shape, generator=generator)
        images[position] = (128 + 32 * noisy).clamp(0, 255).to(torch.uint8)
    return images, labels.numpy().astype(np.int64)


def build_datamodule(source: Source, *, batch_size: int, seed: int) -> LongTailedDataModule:
    """The data set made long-tailed and noisy, held on the training device."""
    return LongTailedDataModule(
        source=source,
        imbalance=Imbalance(factor=IMBALANCE_FACTOR),
        noise=Noise(kind="symmetric", ratio=NOISE_RATIO),
        corruption_seed=seed,
        seed=seed,
        validation_fraction=0.0,
        batch_size=batch_size,
    )
