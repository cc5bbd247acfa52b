from __future__ import annotations

from typing import Any, Protocol

from lt_callbacks.apps.config.build import build_classifier
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.fit import fit
from lt_callbacks.apps.train.phase import Phase, PhaseRunner
from lt_callbacks.apps.train.trained_file import keep_trained, take_trained
from lt_callbacks.apps.train.training import Trained, Training
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers.isolated_seed import isolated_seed


class Runner(Protocol):
    """Where trainings run."""

    def train(
        self, training: Training, classifier: Classifier, datamodule: LongTailedDataModule, *, dsink: DSink | None
    ) -> Trained:
        """Train a classifier in place.

        Args:
            training: Which training it is.
            classifier: Fresh.
            datamodule: The corrupted data.
            dsink: What is added to the loss, with its teachers; None: nothing.
        """


class InProcess:
    """Trains in this process, on one device.

    Args:
        config: The settings.
        progress: Where to show it.
        preemption: Whether to stop.
    """

    def __init__(self, config: TrainConfig, progress: RunProgress, preemption: Preemption) -> None:
        self.config, self.progress, self.preemption = config, progress, preemption

    def train(
        self, training: Training, classifier: Classifier, datamodule: LongTailedDataModule, *, dsink: DSink | None
    ) -> Trained:
        """Train here, from the training's last checkpoint if it has one; see `Runner`."""
        taken = _taken(self.config, training, classifier, self.progress)
        if taken is not None:
            return taken
        say = self.progress.say
        with self.progress.training(training.name) as bar:
            trained = fit(
                self.config,
                training,
                classifier,
                datamodule,
                dsink=dsink,
                progress=bar,
                preemption=self.preemption,
                say=say,
            )
        keep_trained(training, classifier.network, trained, say=say)
        return trained


class InPhases:
    """Trains in a process group for each training.

    Args:
        config: The settings.
        phases: Starts it.
    """

    def __init__(self, config: TrainConfig, phases: PhaseRunner) -> None:
        self.config, self.phases = config, phases

    def train(
        self, training: Training, classifier: Classifier, datamodule: LongTailedDataModule, *, dsink: DSink | None
    ) -> Trained:
        """Have ranks train, which make data and teachers for themselves and compare the facts; see `Runner`."""
        taken = _taken(self.config, training, classifier, self.phases.progress)
        if taken is not None:
            return taken
        phase = Phase(config=self.config, training=training, facts=training_facts(datamodule, dsink))
        return self.phases.train(phase, classifier.network)


def _taken(config: TrainConfig, training: Training, classifier: Classifier, progress: RunProgress) -> Trained | None:
    """The training as an earlier run left it, which ended before the row or teacher was safe; None: it left none."""
    trained = None if config.ckpt_path is None else take_trained(training.folder, classifier.network)
    if trained is not None:
        progress.skip(training.name, "trained before")
    return trained


def training_facts(datamodule: LongTailedDataModule, dsink: DSink | None) -> dict[str, Any]:
    """What a training is made of, by content; equal on all of its ranks."""
    facts: dict[str, Any] = {"manifest": datamodule.manifest.sha256, "data": datamodule.fingerprint}
    if dsink is not None:
        facts["noise_teacher"] = dsink.noise_teacher.sha256()
        facts["imbalance_teacher"] = dsink.imbalance_teacher.sha256()
    return facts


def train_fresh(
    config: TrainConfig,
    training: Training,
    datamodule: LongTailedDataModule,
    *,
    dsink: DSink | None,
    runner: Runner,
) -> tuple[Classifier, Trained]:
    """A fresh network of the training's role, trained; the global random state is left as it was."""
    with isolated_seed(training.start_seed):
        classifier = build_classifier(config, datamodule, group=training.group, learning_rate=training.learning_rate)
        return classifier, runner.train(training, classifier, datamodule, dsink=dsink)
