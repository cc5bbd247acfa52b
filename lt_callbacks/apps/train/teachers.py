from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_callbacks.apps.config.build import build_classifier
from lt_callbacks.apps.config.train_schemas import TeacherConfig, TrainConfig
from lt_callbacks.apps.shared.description import describe_training
from lt_callbacks.apps.train.cached_teachers import cached_teacher
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.apps.train.runners import Runner
from lt_callbacks.apps.train.training import Training, start_seed
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier, ClassifierNetwork
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher, TeacherStore, load_checkpoint
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.train_network import train_network

#: In which order teachers are settled where a row needs both.
_IN_ORDER = ("noise", "imbalance")


@dataclass(frozen=True)
class SettledTeacher:
    """A trained teacher, and how it came to be.

    Attributes:
        classifier: On the CPU.
        seconds: Of its training, or of waiting for another job's; 0 for a checkpoint.
        is_reused: Whether it came from the store or a checkpoint.
    """

    classifier: Classifier
    seconds: float
    is_reused: bool


class StudyTeachers:
    """The two teachers of one seed, each settled once: trained, found in the store, or read from a checkpoint.

    Args:
        config: The settings.
        datamodule: The corrupted data of the seed.
        seed: Of the study.
        progress: Where to show it.
        runner: Where teachers are trained.

    Attributes:
        settled: Role -> teacher, for those that are settled so far.
    """

    def __init__(
        self, config: TrainConfig, datamodule: LongTailedDataModule, *, seed: int, progress: Any, runner: Runner
    ) -> None:
        self.config, self.datamodule, self.seed = config, datamodule, seed
        self.progress, self.runner = progress, runner
        self.settled: dict[str, SettledTeacher] = {}
        self._cached: dict[str, CachedTeacher] = {}
        self._store = TeacherStore(Path(config.store).expanduser())

    def settle(self, roles: Iterable[str]) -> dict[str, SettledTeacher]:
        """The teachers of these roles (``"imbalance"``, ``"noise"``), trained where nobody has."""
        asked = set(roles)
        for role in _IN_ORDER:
            if role in asked and role not in self.settled:
                self.settled[role] = self._settle(role)
        return {role: self.settled[role] for role in _IN_ORDER if role in asked}

    def live(self) -> tuple[ModuleTeacher, ModuleTeacher]:
        """f_N and f_L as modules that see the images themselves."""
        teachers = self.settle(_IN_ORDER)
        noise, imbalance = (
            ModuleTeacher(
                ClassifierNetwork(teachers[role].classifier),
                num_classes=self.datamodule.num_classes,
                compile=self.config.model.compile,
            )
            for role in _IN_ORDER
        )
        return noise, imbalance

    def of_steps(self) -> tuple[FrozenTeacher, FrozenTeacher]:
        """f_N and f_L as a training step asks them: live, or by their predictions of all samples."""
        live = self.live()
        if self.config.teachers == "live":
            return live
        for role, teacher in zip(_IN_ORDER, live, strict=True):
            if role not in self._cached:
                self._cached[role] = cached_teacher(
                    teacher,
                    self.config,
                    self.datamodule,
                    store=self._store.root,
                    name=f"seed {self.seed}, predictions of the {role} teacher",
                    progress=self.progress,
                )
        return self._cached["noise"], self._cached["imbalance"]

    def dsink(self, method: str | None) -> DSink | None:
        """What a row adds to its loss, with both teachers settled; None where it adds nothing."""
        make_dsink = None if method is None else RECIPES[method].dsink
        return None if make_dsink is None else make_dsink(self.config, *self.of_steps())

    def _settle(self, role: str) -> SettledTeacher:
        group = f"{role}_teacher"
        chosen: TeacherConfig = getattr(self.config, group)
        name = f"seed {self.seed}, {role} teacher ({chosen.name})"
        if chosen.checkpoint is not None:
            with isolated_seed(start_seed(self.seed, group)):
                classifier = build_classifier(self.config, self.datamodule, group=group)
            load_checkpoint(chosen.checkpoint, classifier.network)
            self.progress.skip(name, f"from its checkpoint {chosen.checkpoint}")
            return SettledTeacher(classifier, seconds=0.0, is_reused=True)
        return self._trained(group, chosen, name)

    def _trained(self, group: str, chosen: TeacherConfig, name: str) -> SettledTeacher:
        """The teacher from the store, or trained and stored."""
        max_epochs = self.config.trainer.max_epochs if chosen.max_epochs is None else chosen.max_epochs
        description = describe_training(
            self.config,
            self.datamodule,
            group=group,
            start_seed=start_seed(self.seed, group),
            max_epochs=max_epochs,
            learning_rate=chosen.learning_rate,
        )
        training = Training(
            name=name,
            group=group,
            seed=self.seed,
            method=None,
            max_epochs=max_epochs,
            learning_rate=chosen.learning_rate,
            folder=self._store.unfinished(description.key),
        )
        started = time.monotonic()
        found = train_network(
            lambda: build_classifier(self.config, self.datamodule, group=group, learning_rate=chosen.learning_rate),
            lambda classifier: self.runner.train(training, classifier, self.datamodule, dsink=None),
            description=description,
            store=self._store,
            stored_part=lambda classifier: classifier.network,
            on_wait=lambda who: self.progress.say(f"  {name}: waiting for {who}, which trains it"),
        )
        if found.is_reused:
            self.progress.skip(name, "reused from the store")
        seconds = time.monotonic() - started if found.outcome is None else found.outcome.seconds
        return SettledTeacher(found.module, seconds, found.is_reused)
