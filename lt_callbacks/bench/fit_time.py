"""How long a step takes within `Trainer.fit`."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier


class _StepClock(Callback):
    """Notes when the first and the last step of a fit ended."""

    def __init__(self, device: str) -> None:
        self.ends: list[float] = []
        self._device = device

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time after the first and the last step, where alone the device is waited for."""
        if trainer.global_step in (1, trainer.max_steps):
            if self._device == "cuda":
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())


def fit_seconds(
    module: Classifier, datamodule: LongTailedDataModule, *, steps: int, precision: str, device: str
) -> float:
    """Seconds a step within `Trainer.fit`, between the ends of its first and of its last step.

    Args:
        module: What is fitted.
        datamodule: Its data.
        steps: Of the fit, >= 2.
        precision: As the trainer takes it, ``"32-true"`` or ``"bf16-mixed"``.
        device: ``"cpu"`` or ``"cuda"``.
    """
    clock = _StepClock(device)
    trainer = Trainer(
        max_steps=steps,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[clock],
    )
    trainer.fit(module, datamodule=datamodule)
    return (clock.ends[-1] - clock.ends[0]) / (steps - 1)
