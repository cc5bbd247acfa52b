from __future__ import annotations

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import TensorDataset
from user_project import UserData, UserNet, images_and_labels

from lt_callbacks.objectives import OBJECTIVES

IMAGES, LABELS = images_and_labels()


def test_the_objective_is_what_is_minimised(train):
    """Plain cross-entropy by hand, on batches without shuffling and a network without dropout."""

    class Linear(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, images):
            return self.layer(images.flatten(1))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    datamodule = UserData(TensorDataset(IMAGES / 10, LABELS), shuffle=False)
    (teacher, _), _ = train(Linear, datamodule, imbalance="cross_entropy", noise="gce", seed=3)
    torch.manual_seed(3)
    expected = Linear()
    optimizer = expected.configure_optimizers()
    for start in (0, 8, 16):
        part = slice(start, start + 8)
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(IMAGES[part] / 10), LABELS[part]).backward()
        optimizer.step()
    torch.testing.assert_close(teacher.module.layer.weight, expected.layer.weight.detach())


def test_objectives_learn_the_facts_of_the_data_and_of_the_training(train):
    _, steps = train(noise="elr", trainer={"max_epochs": 2})
    objective = steps.objective
    assert objective.memory.shape == (24, 3)
    # Every sample has been remembered under a position of its own.
    assert bool((objective.memory.sum(1) > 0).all())
    assert objective.epoch == 1
    _, steps = train(noise="ldam_drw", noise_settings={"drw_start": 0.5}, trainer={"max_epochs": 2})
    counts = torch.bincount(LABELS).double()
    margins = counts**-0.25 * (0.5 / (counts**-0.25).max())
    torch.testing.assert_close(steps.objective.margins, margins.float())
    assert steps.objective.drw_epoch == 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_a_teacher(train, name):
    (teacher, _), steps = train(imbalance=name, noise="cross_entropy", store=None)
    assert steps.objectives[0] == OBJECTIVES[name].__name__
    assert bool(torch.isfinite(teacher.log_probs(IMAGES)).all())


def test_a_third_item_that_is_no_tensor_is_nobodys_business(train):
    """Names of files, say; nothing but an objective that needs an index looks at what stands third."""

    def collate(samples):
        images, labels = zip(*samples, strict=True)
        return torch.stack(images), torch.stack(labels), [f"{i}.png" for i in range(len(samples))]

    _, steps = train(UserNet, UserData(collate_fn=collate))
    assert steps.count == 6
    assert bool((steps.objective.memory.sum(1) > 0).all())


def test_the_networks_own_setup_is_called(train):
    class WithSetup(UserNet):
        def setup(self, stage: str) -> None:
            self.stage = stage

    (teacher, _), _ = train(WithSetup, store=None)
    assert teacher.module.stage == "fit"
