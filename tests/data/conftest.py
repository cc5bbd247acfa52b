from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numbered_images import numbered_images
from PIL import Image

from lt_callbacks.data import ImageSet, Source


@pytest.fixture
def numbered_source() -> Source:
    """300 training and 40 test images of 4 classes; test images say 1000 more than their position."""
    labels = np.repeat(np.arange(4), [120, 90, 60, 30])
    test = numbered_images(1040)[1000:]
    return Source(
        name="numbered",
        train=ImageSet(images=numbered_images(300), labels=labels),
        test=ImageSet(images=test, labels=np.arange(40) % 4),
        class_names=("a", "b", "c", "d"),
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
    )


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write a small PNG of random pixels, the same for the same seed."""

    def write(path: Path, *, seed: int = 0, height: int = 10, width: int = 12) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def file_source(tmp_path: Path, write_image: Callable[..., Path]) -> Source:
    """24 PNG files of 2 classes, of different sizes, given out as 8 by 8."""
    paths = [write_image(tmp_path / f"{i % 2}" / f"{i:02}.png", seed=i, height=9 + i, width=30 - i) for i in range(24)]
    return Source(
        name="files",
        train=ImageSet(images=tuple(paths), labels=np.arange(24) % 2),
        class_names=("even", "odd"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        flip=True,
        image_size=8,
    )
