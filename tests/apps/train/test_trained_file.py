from __future__ import annotations

import torch
from torch import nn

from lt_callbacks.apps.train.trained_file import keep_trained, take_trained
from lt_callbacks.apps.train.training import Trained, Training


def test_a_training_that_is_over_leaves_its_network_in_the_place_of_its_checkpoint(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"of the epoch before")
    training = Training(
        name="CE", group="objective", seed=0, method="ce", max_epochs=1, learning_rate=None, folder=tmp_path
    )
    kept, taken = nn.Linear(2, 3), nn.Linear(2, 3)
    trained = Trained(seconds=1.5, observed={"dsink/sweeps": None}, curves={"epoch": [1.0], "train_loss": [0.25]})
    assert take_trained(tmp_path, taken) is None
    keep_trained(training, kept, trained)
    assert not (tmp_path / "last.ckpt").exists()
    assert take_trained(tmp_path, taken) == trained
    assert torch.equal(kept.weight, taken.weight)
