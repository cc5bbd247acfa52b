from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from lt_callbacks.data import Source
from lt_callbacks.data.sources.torchvision_folder import torchvision_folder


def pickle_batch(path: Path, content: dict[str, object]) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


@pytest.fixture
def tiny_cifar(tmp_path: Path) -> type[CIFAR10]:
    """CIFAR-10's layout with twelve images, and torchvision's class with the checksums of these files."""
    folder = tmp_path / CIFAR10.base_folder
    rows = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
    train = [
        pickle_batch(folder / f"data_batch_{i}", {"data": rows[4 * i : 4 * i + 4], "labels": [i, 1, 2, 3]})
        for i in (0, 1)
    ]
    test = [pickle_batch(folder / "test_batch", {"data": rows[8:], "labels": [0, 1, 2, 3]})]
    name, checksum = pickle_batch(folder / "batches.meta", {"label_names": ["a", "b", "c", "d"]})

    class TinyCIFAR(CIFAR10):
        train_list = train
        test_list = test
        meta = {"filename": name, "key": "label_names", "md5": checksum}  # noqa: RUF012

    return TinyCIFAR


def read(dataset: type[CIFAR10], root: Path) -> Source:
    return torchvision_folder(
        dataset,
        name="tiny",
        root=root,
        holds="cifar-10-batches-py",
        origin="the content of cifar-10-python.tar.gz",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        crop_padding=4,
        flip=True,
    )


def test_colour_images_are_read_channels_first(tiny_cifar: type[CIFAR10], tmp_path: Path):
    source = read(tiny_cifar, tmp_path)
    rows = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8).reshape(12, 3, 32, 32)
    assert torch.equal(source.train.images, torch.from_numpy(rows[:8]))
    assert torch.equal(source.test.images, torch.from_numpy(rows[8:]))
    assert source.train.labels.tolist() == [0, 1, 2, 3, 1, 1, 2, 3]
    assert source.class_names == ("a", "b", "c", "d")
    assert (source.name, source.crop_padding, source.flip) == ("tiny", 4, True)


def test_an_edited_file_is_refused(tiny_cifar: type[CIFAR10], tmp_path: Path):
    path = tmp_path / CIFAR10.base_folder / "data_batch_1"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(
        FileNotFoundError, match=r"`root` must hold .*cifar-10-batches-py, whole; got missing or damaged files"
    ):
        read(tiny_cifar, tmp_path)


def test_a_missing_folder_says_what_to_put_where(tiny_cifar: type[CIFAR10], tmp_path: Path):
    message = (
        r"`root` must hold .*nowhere.cifar-10-batches-py, whole; got missing or damaged files \(RuntimeError: .*\). "
        r"Put the content of cifar-10-python.tar.gz there, or run torchvision.datasets.TinyCIFAR\('.*nowhere', down"
    )
    with pytest.raises(FileNotFoundError, match=message):
        read(tiny_cifar, tmp_path / "nowhere")
