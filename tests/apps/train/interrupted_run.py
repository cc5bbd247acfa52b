"""Trainings of `lt-train` that are asked to stop, or fail, in some step, and go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from tiny_run import tiny_study
from torch import nn

from lt_callbacks.apps.config.build import build_classifier
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.train.fit import fit
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.training import Trained, Training
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers.isolated_seed import isolated_seed

NUM_EPOCHS = 3
#: Of the digits that the default imbalance leaves, with the batch size below.
STEPS = 6
SETTINGS = (f"trainer.max_epochs={NUM_EPOCHS}", "data.batch_size=64", "test_every_n_epochs=1")


class AtStep(Callback):
    """Calls ``act`` at the end of training step ``step``, counted over the whole training from 1."""

    def __init__(self, step: int, act: Callable[[], Any]) -> None:
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.step:
            self.act()


class Steps(Callback):
    """Which steps this process trained."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.seen.append(trainer.global_step)


@dataclass
class Done:
    """What a training ended with."""

    classifier: Classifier
    trained: Trained
    steps: list[int]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return self.classifier.state_dict()


def train(
    folder: Path,
    *overrides: str,
    with_teachers: bool = False,
    preemption: Preemption | None = None,
    extra: tuple[Callback, ...] = (),
) -> Done:
    """The training in ``folder``, from its checkpoint where it has one; a network with dropout draws in each step."""
    study = tiny_study(folder, *SETTINGS, *overrides)
    training = Training(
        name="a training",
        group="objective",
        seed=0,
        method=None,
        max_epochs=study.config.trainer.max_epochs,
        learning_rate=None,
        folder=folder / "unfinished",
    )
    steps = Steps()
    with isolated_seed(5):
        classifier = _network(study)
        trained = fit(
            study.config,
            training,
            classifier,
            study.datamodule,
            dsink=_dsink(study) if with_teachers else None,
            progress=Callback(),
            preemption=preemption or Preemption(),
            extra=[steps, *extra],
        )
    return Done(classifier, trained, steps.seen)


def _network(study: SeedStudy) -> Classifier:
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    classifier.network = nn.Sequential(classifier.network, nn.Dropout(0.3))
    return classifier


def _dsink(study: SeedStudy) -> DSink:
    """With a state of its own, and teachers that are as good as any for this."""
    noise, imbalance = (build_classifier(study.config, study.datamodule, group="objective").network for _ in range(2))
    return DSink(noise_teacher=noise, imbalance_teacher=imbalance, alpha=3.0, class_marginal="running", queue_batches=2)
