from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from torch import nn
from user_project import FunctionDataset, UserData, UserNet, images_and_labels

from lt_callbacks.teachers import ModuleTeacher

IMAGES, LABELS = images_and_labels()


def weights(teacher: ModuleTeacher) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in teacher.module.parameters()])


def test_two_different_frozen_teachers_come_out(train):
    (imbalance, noise), steps = train()
    assert steps.objectives == ["LogitAdjustment", "EarlyLearningRegularization"]
    assert steps.count == 2 * 3
    for teacher in (imbalance, noise):
        assert isinstance(teacher, ModuleTeacher)
        assert isinstance(teacher.module, UserNet)
        assert teacher.num_classes == 3
        assert not any(parameter.requires_grad for parameter in teacher.module.parameters())
        assert teacher.log_probs(IMAGES).shape == (24, 3)
    assert not torch.equal(weights(imbalance), weights(noise))


def test_the_same_seed_gives_the_same_teachers(train):
    first, _ = train(store=None)
    torch.rand(3)
    second, _ = train(store=None)
    other, _ = train(store=None, seed=1)
    assert torch.equal(weights(first[0]), weights(second[0]))
    assert torch.equal(weights(first[1]), weights(second[1]))
    assert not torch.equal(weights(first[0]), weights(other[0]))


@pytest.mark.parametrize("is_stored", [True, False])
def test_global_random_state_is_untouched(train, is_stored, monkeypatch):
    """Also where labels are read by a pass over a loader that shuffles."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "42")
    if is_stored:
        train()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]
    assert os.environ["PL_GLOBAL_SEED"] == "42"


def test_a_split_that_the_datamodule_draws_is_the_callers_own(train):
    class Drawn(UserData):
        def setup(self, stage: str) -> None:
            self.chosen = torch.rand(())

    drawn = []
    for seed in (0, 1, 0):
        datamodule = Drawn()
        torch.manual_seed(seed)
        train(UserNet, datamodule)
        drawn.append(datamodule.chosen.item())
    assert drawn[0] == drawn[2] != drawn[1]


class Dictionary(UserNet):
    def forward(self, images):
        return {"logits": super().forward(images)}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"module": UserNet()}, TypeError, "`module` must be a class or function .*; got UserNet. Pass the class"),
        ({"module": "resnet20"}, TypeError, "`module` must be a class or function .*; got str. Pass the class"),
        ({"module": lambda: nn.Linear(4, 3)}, TypeError, "fresh LightningModule; got one that makes a Linear. Pass"),
        (
            {"module": Dictionary},
            TypeError,
            r"`module` must make .*logits \(B, C\).*got dict from `forward` of Dictionary. Pass",
        ),
        ({"imbalance": "logit_adj"}, ValueError, "`imbalance` must be one of .*Did you mean 'logit_adjustment'"),
        ({"noise": "elrr"}, ValueError, "`noise` must be one of .*got 'elrr'. Did you mean 'elr'"),
        (
            {"noise_settings": {"betta": 0.7}},
            ValueError,
            "`noise_settings` must be .* for objective 'elr'.*Did you mean 'beta'",
        ),
        ({"imbalance_settings": {"tau": -1.0}}, ValueError, "`imbalance_settings.tau` must be a finite number"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0 and <= 4294967295; got -1"),
        ({"seed": 2**32}, ValueError, "`seed` must be an integer >= 0 and <= 4294967295; got 4294967296"),
        ({"datamodule": [IMAGES]}, TypeError, "`datamodule` must be a LightningDataModule; got list"),
        (
            {"datamodule": UserData(FunctionDataset(lambda i: {"image": IMAGES[i], "given": LABELS[i]}))},
            ValueError,
            r"must give training batches that hold .*got a dict with keys \['image', 'given'\]. Name the item by `label_f",
        ),
    ],
)
def test_what_cannot_work_is_refused(train, tmp_path, arguments, error, text):
    with pytest.raises(error, match=text):
        train(**arguments)
    assert not list((tmp_path / "store").glob("*/teacher.json"))
