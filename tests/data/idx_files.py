"""MNIST's file format, to write tiny sets in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write a uint8 array as an idx file: two zero bytes, type 8, number of dimensions, sizes, values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array(values.shape, dtype=">i4").tobytes()
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())


def write_set(folder: Path) -> dict[str, np.ndarray]:
    """Four idx files of 20 training and 10 test images; returns what is in them."""
    random = np.random.default_rng(0)
    content = {
        "train-images-idx3-ubyte": random.integers(0, 256, (20, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(20) % 10,
        "t10k-images-idx3-ubyte": random.integers(0, 256, (10, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(10)[::-1],
    }
    for name, values in content.items():
        write_idx(folder / name, values)
    return content
