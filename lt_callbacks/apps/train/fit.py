from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from lt_callbacks._files import remove_leftovers
from lt_callbacks.apps.config.build import build_targets, build_trainer
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.train.compiled import compiled
from lt_callbacks.apps.train.curves import History
from lt_callbacks.apps.train.training import Trained, Training
from lt_callbacks.apps.train.unfinished import UnfinishedTraining, WholeFile
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink, DSinkCallback, ExactResume


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
    say: Callable[[str], None] | None = None,
) -> Trained:
    """Train a classifier in place, together with the ranks of this process, from its last checkpoint if it has one.

    What came out is not kept here, see `keep_trained`.

    Args:
        config: The run's settings.
        training: Which training it is.
        classifier: Fresh.
        datamodule: The corrupted data.
        dsink: What is added to the loss, with its teachers; None: nothing.
        progress: Shows it.
        preemption: Whether to stop.
        extra: Callbacks that come before all others.
        say: Tells a person what they should know; None: standard error.

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
        say=say,
    )
    # What a process that was killed had begun to write.
    remove_leftovers(training.folder)
    trainer = build_trainer(
        config,
        max_epochs=training.max_epochs,
        callbacks=[*callbacks, history, progress, ExactResume(), unfinished],
        logger=loggers or False,
        enable_checkpointing=True,
        plugins=[WholeFile(on_failure=unfinished.could_not_save)],
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
    """The value, or None where it is not finite: JSON has no NaN, and a diverged loss must not cost its training."""
    return value if math.isfinite(value) else None
