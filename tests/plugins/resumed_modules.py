"""A user's module that draws from every generator, and its interrupted and resumed trainings."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import small_modules as m
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks import DSink, DSinkCallback
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.plugins import ExactResume

NUM_EPOCHS = 3
#: Of the digits below.
STEPS = 4


class Draws(LightningModule):
    """A network with dropout, whose loss is weighted by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))
        self.draws_in_validation = True

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        images, label = batch[:2]
        weight = 1 + random.random() + np.random.rand() + np.random.randn()  # noqa: NPY002
        return weight * F.cross_entropy(self(images + 0.1 * torch.randn_like(images)), label)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        if self.draws_in_validation:
            torch.rand(3), random.random(), np.random.randn()  # noqa: NPY002

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class AsksForSteps(Draws):
    """With a schedule that has to know its length, as many have."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class AugmentsOnTheDevice(Draws):
    """Random augmentation between the loader and the step."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        images, *rest = batch
        return (images + 0.1 * torch.randn_like(images), *rest) if self.trainer.training else batch


class OwnData(LightningDataModule):
    """Plain loaders, in one order."""

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(STEPS * 20, 1, 8, 8, generator=generator)
        label = images.flatten(1)[:, :10].argmax(1)
        return DataLoader(TensorDataset(images, label, torch.arange(len(images))), batch_size=20)

    val_dataloader = train_dataloader


class Interrupt(Callback):
    """Ends a training as an error does, at the end of step ``step``."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyError(f"interrupted after step {self.step}")


def long_tailed() -> LongTailedDataModule:
    return LongTailedDataModule(
        source=digits(), imbalance=Imbalance(factor=20), noise=Noise(kind="symmetric", ratio=0.3), batch_size=100
    )


def set_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def generators() -> tuple[float, float, float]:
    """What each would draw next."""
    return random.random(), float(np.random.randn()), float(torch.rand(()))  # noqa: NPY002


def fit(
    folder: Path | None = None,
    *callbacks: Callback,
    seed: int = 0,
    kind: type[Draws] = Draws,
    data: LightningDataModule | None = None,
    with_dsink: bool = False,
    resume: ExactResume | None | bool = True,
    resumes: bool = False,
    every: dict[str, int] | None = None,
    **changes: Any,
) -> dict[str, Tensor]:
    """Weights at the end of a training in ``folder``, whose generators start at ``seed``.

    Args:
        resume: The callback; True: a new one; None: none.
        resumes: From the last checkpoint.
        every: Interval of the checkpoints.
    """
    module = m.fresh(kind)
    for name, value in changes.items():
        setattr(module, name, value)
    chosen = list(callbacks)
    if resume is not None:
        chosen.append(ExactResume() if resume is True else resume)
    if with_dsink:
        teachers = [m.fresh(Draws, seed).layers for seed in (11, 12)]
        dsink = DSink(
            noise_teacher=teachers[0], imbalance_teacher=teachers[1], class_marginal="running", queue_batches=2
        )
        chosen.append(DSinkCallback(dsink))
    if folder is not None:
        chosen.append(ModelCheckpoint(folder, save_last=True, **(every or {})))
    trainer = m.trainer(
        max_epochs=NUM_EPOCHS, callbacks=chosen, enable_checkpointing=folder is not None, num_sanity_val_steps=1
    )
    set_generators(seed)
    trainer.fit(module, data or long_tailed(), ckpt_path="last" if resumes else None)
    assert trainer.global_step == NUM_EPOCHS * STEPS
    return {name: value.clone() for name, value in module.state_dict().items()}
