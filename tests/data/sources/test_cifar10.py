from __future__ import annotations

from pathlib import Path

import pytest

from lt_callbacks.data import cifar10


def test_a_missing_folder_says_what_to_put_where(tmp_path: Path):
    # reading is tested with torchvision_folder: torchvision takes no files here but the original ones
    message = (
        r"`root` must hold .*cifar-10-batches-py, whole; .*Put the content of cifar-10-python.tar.gz from "
        r"https://www.cs.toronto.edu/~kriz/cifar.html there, or run torchvision.datasets.CIFAR10\("
    )
    with pytest.raises(FileNotFoundError, match=message):
        cifar10(root=tmp_path)
