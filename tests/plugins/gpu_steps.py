"""Steps of a D-SINK training in which a synchronisation of host and GPU is an error."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from lt_callbacks import DSink, DSinkCallback, ProxyLabelMonitor
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import SOURCES, LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.models import build_model
from lt_callbacks.objectives import build_objective
from lt_callbacks.teachers import ModuleTeacher, cache

#: Steps before: kernels are compiled and memory is taken in them.
NUM_WARM = 2
NUM_WATCHED = 2


class SyncsAreErrors(Callback):
    """From the end of the last warm step to that of the last watched one: fetching, steps, hooks."""

    def __init__(self) -> None:
        self.num_watched = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx + 1 == NUM_WARM:
            _set("error")
        elif batch_idx + 1 > NUM_WARM:
            self.num_watched += 1
            if self.num_watched == NUM_WATCHED:
                _set("default")

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        _set("default")


class ReadsTheLoss(Callback):
    """What a user's callback may do, and what the watch has to notice."""

    def on_before_backward(self, trainer: Trainer, pl_module: Any, loss: torch.Tensor) -> None:
        float(loss)


def fit(accelerator: str, *, teachers: str, precision: str, more: tuple[Callback, ...] = ()) -> SyncsAreErrors:
    """A training of `NUM_WARM` + `NUM_WATCHED` + 1 steps on digits with ELR, the objective that remembers samples."""
    data = LongTailedDataModule(
        source=SOURCES["digits"](),
        imbalance=Imbalance(factor=10),
        noise=Noise(kind="symmetric", ratio=0.4),
        batch_size=32,
        validation_fraction=0.0,
    )
    torch.manual_seed(0)
    student, *networks = (build_model("small_cnn", num_classes=10, in_channels=1) for _ in range(3))
    noise, imbalance = (ModuleTeacher(network) for network in networks)
    options = {"accelerator": accelerator, "enable_progress_bar": False, "precision": precision}
    if teachers == "cached":
        noise, imbalance = (cache(teacher, data, trainer=options) for teacher in (noise, imbalance))
    watch = SyncsAreErrors()
    add = DSinkCallback(DSink(noise_teacher=noise, imbalance_teacher=imbalance))
    trainer = Trainer(
        **options,
        devices=1,
        max_epochs=1,
        limit_train_batches=NUM_WARM + NUM_WATCHED + 1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[add, ProxyLabelMonitor(uniform_above=1.0), *more, watch],
    )
    try:
        trainer.fit(Classifier(network=student, objective=build_objective("elr", settings={})), datamodule=data)
    finally:
        _set("default")
    return watch


def _set(mode: str) -> None:
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode(mode)
