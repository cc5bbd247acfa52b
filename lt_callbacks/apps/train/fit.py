from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from lt_callbacks.apps.config.build import build_targets, build_trainer
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.train.compiled import compiled
from lt_callbacks.apps.train.curves import History
from lt_callbacks.apps.train.unfinished import UnfinishedTraining, WholeFile
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink, DSinkCallback, ExactResume


@dataclass(frozen=True)
class Training:
    """What one fit trains; with the run's settings, all that it depends on.

    Attributes:
        name: How progress and logs call it.
        group: Config group that says what is minimised: ``"objective"``, ``"imbalance_teacher"``, ``"noise_teacher"``.
        seed: Of the study.
        method: Row of the table whose loss with two teachers is added; None: none.
        max_epochs: Its length.
        learning_rate: Instead of ``optimisation.learning_rate``.
        folder: For its checkpoint, until it is finished.
    """

    name: str
    group: str
    seed: int
    method: str | None
    max_epochs: int
    learning_rate: float | None
    folder: Path


@dataclass(frozen=True)
class Trained:
    """What a fit leaves besides the weights.

    Attributes:
        seconds: Wall time, over all runs of a training that was stopped and went on.
        observed: The last values of its monitors.
        curves: See `History`.
    """

    seconds: float
    observed: dict[str, float | None]
    curves: dict[str, list[float]]


def fit(
    config: TrainConfig,
    training: Training,
    classifier: Classifier,
    datamodule: LongTailedDataModule,
    *,
    dsink: DSink | None,
    progress: Callback,
    preemption: Preemption,
    extra: list[Callback] | None = None,
) -> Trained:
    """Train ``classifier`` in place, together with the ranks of this process, from its last checkpoint if it has one.

    Raises:
        Preempted: It was asked to stop, and saved its checkpoint.
    """
    callbacks: list[Any] = list(extra or [])
    if dsink is not None:
        callbacks += [DSinkCallback(dsink), *build_targets("callbacks", config.callbacks, Callback)]
    loggers = build_targets("logger", config.logger, Logger)
    for logger in loggers:
        logger.log_hyperparams({"training": training.name, "seed": training.seed})
    history = History(test_every_n_epochs=config.test_every_n_epochs)
    unfinished = UnfinishedTraining(
        training.folder,
        every_seconds=config.checkpoint_every_seconds,
        every_n_steps=config.checkpoint_every_n_steps,
        preemption=preemption,
    )
    trainer = build_trainer(
        config,
        max_epochs=training.max_epochs,
        callbacks=[*callbacks, history, progress, ExactResume(), unfinished],
        logger=loggers or False,
        enable_checkpointing=True,
        plugins=[WholeFile()],
    )
    goes_on = config.ckpt_path is not None and unfinished.path.is_file()
    with compiled(classifier.network, enabled=config.model.compile):
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=str(unfinished.path) if goes_on else None)
    return Trained(
        seconds=unfinished.seconds,
        observed=_observed(trainer.callback_metrics),
        curves={name: list(line) for name, line in history.curves.items()},
    )


def _observed(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: finite(float(value)) for key, value in metrics.items() if key.startswith("dsink/")}


def finite(value: float) -> float | None:
    """For JSON, which has no NaN: a diverged loss must not cost the finished training."""
    return value if math.isfinite(value) else None
