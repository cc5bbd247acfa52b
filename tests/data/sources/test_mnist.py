from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from idx_files import write_set

from lt_callbacks.data import mnist


def test_idx_files_are_read(tmp_path: Path):
    content = write_set(tmp_path / "MNIST" / "raw")
    source = mnist(root=tmp_path)
    assert source.image_shape == (1, 28, 28)
    np.testing.assert_array_equal(source.train.images[:, 0].numpy(), content["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.test.images[:, 0].numpy(), content["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.train.labels, content["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.test.labels, content["t10k-labels-idx1-ubyte"])
    assert (source.class_names[0], source.class_names[9]) == ("0 - zero", "9 - nine")
    assert (source.name, source.mean, source.std, source.flip) == ("mnist", (0.1307,), (0.3081,), False)


def test_missing_and_damaged_files_say_what_to_put_where(tmp_path: Path):
    message = (
        r"`root` must hold .*MNIST.raw, whole; .*Put the four idx-ubyte files of MNIST .* there, "
        r"or run torchvision.datasets.MNIST\("
    )
    with pytest.raises(FileNotFoundError, match=message):
        mnist(root=tmp_path)
    write_set(tmp_path / "MNIST" / "raw")
    images = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-100])
    with pytest.raises(FileNotFoundError, match=message):
        mnist(root=tmp_path)
