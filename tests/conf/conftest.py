from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.models import build_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Setting that a file leaves open -> a value for it, of the kind that the setting wants."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8), np.arange(60) % 10
    arrays = {
        f"{part}_{kind}": value
        for part in ("train", "test")
        for kind, value in (("images", images), ("labels", labels))
    }
    np.savez(folder / "arrays.npz", **arrays)
    source = build_source(DataConfig())
    np.save(folder / "given.npy", source.train.labels)
    np.save(folder / "transition.npy", np.eye(10))
    torch.save(build_model("small_cnn", num_classes=10, in_channels=1).state_dict(), folder / "teacher.ckpt")
    return {
        "data.path": folder / "arrays.npz",
        "noise.given_labels_file": folder / "given.npy",
        "noise.transition_file": folder / "transition.npy",
        "imbalance_teacher.checkpoint": folder / "teacher.ckpt",
        "noise_teacher.checkpoint": folder / "teacher.ckpt",
    }
