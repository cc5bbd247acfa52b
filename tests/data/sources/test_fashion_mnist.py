from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from idx_files import write_set

from lt_callbacks.data import fashion_mnist


def test_idx_files_are_read(tmp_path: Path):
    content = write_set(tmp_path / "FashionMNIST" / "raw")
    source = fashion_mnist(root=tmp_path)
    assert source.image_shape == (1, 28, 28)
    np.testing.assert_array_equal(source.train.images[:, 0].numpy(), content["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.test.images[:, 0].numpy(), content["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.train.labels, content["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.test.labels, content["t10k-labels-idx1-ubyte"])
    assert (source.class_names[0], source.class_names[9]) == ("T-shirt/top", "Ankle boot")
    assert (source.name, source.mean, source.std, source.flip) == ("fashion_mnist", (0.2860,), (0.3530,), True)


def test_missing_and_damaged_files_say_what_to_put_where(tmp_path: Path):
    message = (
        r"`root` must hold .*FashionMNIST.raw, whole; .*Put the four idx-ubyte files of Fashion-MNIST .* there, "
        r"or run torchvision.datasets.FashionMNIST\("
    )
    with pytest.raises(FileNotFoundError, match=message):
        fashion_mnist(root=tmp_path)
    write_set(tmp_path / "FashionMNIST" / "raw")
    images = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(FileNotFoundError, match=message):
        fashion_mnist(root=tmp_path)
