"""D-SINK is there while Lightning's finders of learning rate and batch size train, and leaves no trace of it."""

from __future__ import annotations

import copy

import pytest
import small_modules as m
import torch
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.tuner import Tuner

from lt_callbacks import DSink, DSinkCallback, DSinkMixin

STATEFUL = {"class_marginal": "running", "queue_batches": 1}


class Tuned(m.ReturnsTensor):
    """Its first logits are kept, so that a test sees what was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.learning_rate = 0.1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)


class Data(LightningDataModule):
    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 2

    def train_dataloader(self):
        return m.DataLoader(m.data(), batch_size=self.batch_size)


def dsink(**settings) -> DSink:
    noise, imbalance = m.teachers()
    return DSink(noise_teacher=noise, imbalance_teacher=imbalance, **settings)


class CountsLosses(DSink):
    num_losses = 0

    def loss(self, *args, **kwargs):
        self.num_losses += 1
        return super().loss(*args, **kwargs)


def counting(**settings) -> CountsLosses:
    noise, imbalance = m.teachers()
    return CountsLosses(noise_teacher=noise, imbalance_teacher=imbalance, **settings)


def form(kind: str, add: DSink):
    """The module and callbacks of one way to add D-SINK."""
    if kind == "callback":
        return m.fresh(Tuned), [DSinkCallback(add)]
    module = m.fresh(type("Robust", (DSinkMixin, Tuned), {}))
    module.attach_dsink(add)
    return module, []


@pytest.mark.parametrize("kind", ["callback", "mixin"])
def test_the_learning_rate_finder_trains_with_d_sink(kind, tmp_path):
    add = counting()
    module, callbacks = form(kind, add)
    before = copy.deepcopy(module.state_dict())
    trainer = m.trainer(callbacks=callbacks, default_root_dir=tmp_path)
    found = Tuner(trainer).lr_find(module, datamodule=Data(), num_training=8, early_stop_threshold=None)
    assert add.num_losses >= 8
    assert m.largest_difference(module.state_dict(), before) == 0
    assert not {"forward", "training_step", "_dsink_capture"} & (vars(module).keys() if kind == "callback" else set())
    plain = Tuner(m.trainer(default_root_dir=tmp_path)).lr_find(
        m.fresh(Tuned), datamodule=Data(), num_training=8, early_stop_threshold=None
    )
    assert found.results["loss"][0] > plain.results["loss"][0]


@pytest.mark.parametrize("kind", ["callback", "mixin"])
def test_the_batch_size_finder_trains_with_d_sink(kind, tmp_path):
    add = counting()
    module, callbacks = form(kind, add)
    data = Data()
    trainer = m.trainer(callbacks=callbacks, default_root_dir=tmp_path)
    Tuner(trainer).scale_batch_size(module, datamodule=data, max_trials=2, steps_per_trial=2, init_val=4)
    assert data.batch_size == 8
    assert add.num_losses >= 4
    assert not {"forward", "training_step", "_dsink_capture"} & (vars(module).keys() if kind == "callback" else set())


class Notes(Callback):
    """What D-SINK remembers when the training itself begins."""

    def __init__(self, add: DSink) -> None:
        self.add, self.state = add, None

    def on_train_start(self, trainer, pl_module):
        self.state = copy.deepcopy(self.add.state_dict())


@pytest.mark.parametrize("kind", ["callback", "mixin"])
@pytest.mark.parametrize(
    "finder",
    [
        lambda: LearningRateFinder(num_training_steps=5, early_stop_threshold=None, update_attr=False),
        lambda: BatchSizeFinder(steps_per_trial=2, init_val=16, max_trials=1, batch_arg_name="batch_size"),
    ],
)
def test_a_finder_in_the_fit_leaves_marginal_and_queue_as_they_were(kind, finder, tmp_path):
    add = counting(**STATEFUL)
    module, callbacks = form(kind, add)
    fresh, notes = copy.deepcopy(add.state_dict()), Notes(add)
    trainer = m.trainer(callbacks=[notes, finder(), *callbacks], default_root_dir=tmp_path)
    trainer.fit(module, datamodule=Data())
    assert str(notes.state) == str(fresh)
    assert add.num_losses > m.NUM_STEPS * m.BATCH // trainer.datamodule.batch_size
    assert not {"forward", "training_step"} & vars(module).keys()
