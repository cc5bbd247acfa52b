from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, cache

_SECONDS_BETWEEN_MOVES = 0.5
_SECONDS_BETWEEN_LINES = 20.0


def cached_teacher(
    teacher: FrozenTeacher,
    config: TrainConfig,
    datamodule: LongTailedDataModule,
    *,
    store: Path,
    name: str,
    progress: Any,
) -> CachedTeacher:
    """A teacher's predictions of the training samples, made on one device or found in the store.

    Args:
        teacher: Live.
        config: ``cached_views``, and the trainer's accelerator and precision.
        datamodule: The samples.
        store: Of teachers and predictions.
        name: How progress calls it.
        progress: Where to show it; what is no `RunProgress` shows nothing.
    """
    shown: list[Any] = [_PredictionProgress(progress, name)] if isinstance(progress, RunProgress) else []
    found = cache(
        teacher,
        datamodule,
        num_views=config.cached_views,
        trainer={
            "accelerator": config.trainer.accelerator,
            "precision": config.trainer.precision,
            "default_root_dir": config.output,
            "enable_progress_bar": False,
            "callbacks": shown,
        },
        store=store,
    )
    if shown and not shown[0].is_made:
        progress.say(f"  {name}: reused from the store")
    return found


class _PredictionProgress(Callback):
    def __init__(self, progress: RunProgress, name: str) -> None:
        self.progress, self.name = progress, name
        self._started = self._last = time.monotonic()
        self.is_made = False

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Moves the bar; in a log file, a line now and then."""
        now = time.monotonic()
        if now - self._last > (_SECONDS_BETWEEN_MOVES if self.progress.is_live else _SECONDS_BETWEEN_LINES):
            self._last = now
            total: Any = sum(trainer.num_predict_batches)
            self.progress.advance(self.name, batch_idx + 1, int(total), unit="batch")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Says that it is done; the run counts trainings, which this is none of."""
        self.is_made = True
        self.progress.say(f"  {self.name}: {time.monotonic() - self._started:.0f} s")
