from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.build import build_datamodule
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.places import document_path
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.apps.train.runners import InProcess, Runner, train_fresh
from lt_callbacks.apps.train.scores import score, score_matched
from lt_callbacks.apps.train.teachers import SettledTeacher, StudyTeachers
from lt_callbacks.apps.train.training import Trained, Training, row_training
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.methods import Classifier
from lt_callbacks.models.weights_bytes import weights_bytes

# The row whose network `Recipe.needs_student` speaks of.
_STUDENT = "dsink"


@dataclass
class SeedStudy:
    """All methods of one seed: they share the corrupted data and the two teachers.

    A row goes one way: the teachers that it needs are settled, its network is trained with them as values, and what
    came out is scored.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.
        runner: Where trainings run; None: in this process.

    Attributes:
        datamodule: The corrupted data.
        teachers: f_L and f_N.
        student: The target model that D-SINK trained, once it has.
        classifier: That of the row that was scored last; None where it was a matched one.
    """

    config: TrainConfig
    source: Source
    seed: int
    progress: RunProgress
    runner: Runner | None = None
    datamodule: LongTailedDataModule = field(init=False)
    teachers: StudyTeachers = field(init=False)
    student: Classifier | None = field(init=False, default=None)
    classifier: Classifier | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.datamodule = build_datamodule(self.config, self.source, seed=self.seed)
        self._runner = self.runner or InProcess(self.config, self.progress, Preemption())
        self.teachers = StudyTeachers(
            self.config, self.datamodule, seed=self.seed, progress=self.progress, runner=self._runner
        )

    def run(self, method: str) -> MethodResult:
        """Train (or, for a teacher's own row, look up) one method and score its last epoch on the test set."""
        recipe = RECIPES[method]
        self.classifier = None
        teachers = self.teachers.settle(recipe.needs)
        if recipe.matches_marginal:
            return self._run_matched(method, teachers)
        if recipe.teacher is not None:
            return self._run_teacher(method, teachers[recipe.teacher])
        return self._run_training(method)

    def finish(self, method: str, *, left: Sequence[str] = ()) -> None:
        """Forget what is kept of the training behind a row whose result is safe.

        Args:
            method: The row.
            left: Rows of this seed that are still to be run; one that is made of the same student keeps its network.
        """
        row = _STUDENT if RECIPES[method].needs_student else method
        if row == _STUDENT and any(other == row or RECIPES[other].needs_student for other in left):
            return
        used, own = self._training(row).folder, self._own_training(row).folder
        # Also those of settings that were changed in between: of this row nothing is left to go on with.
        for folder in (used, *own.parent.glob(f"{row}-seed{self.seed}-*")):
            shutil.rmtree(folder, ignore_errors=True)
        for parent in (used.parent, own.parent):
            # It may hold those of other rows.
            with suppress(OSError):
                parent.rmdir()

    def _run_matched(self, method: str, teachers: dict[str, SettledTeacher]) -> MethodResult:
        role = RECIPES[method].teacher
        if role is not None:
            classifier = teachers[role].classifier
        else:
            classifier = self.student if self.student is not None else self._train(_STUDENT)[0]
        return score_matched(
            self.config,
            self.datamodule,
            classifier,
            imbalance_teacher=teachers["imbalance"].classifier,
            method=method,
        )

    def _run_teacher(self, method: str, teacher: SettledTeacher) -> MethodResult:
        self.classifier = teacher.classifier
        return score(
            self.config,
            self.datamodule,
            teacher.classifier,
            method=method,
            seconds=teacher.seconds,
            extra={"reused": teacher.is_reused},
        )

    def _run_training(self, method: str) -> MethodResult:
        classifier, trained = self._train(method)
        self.classifier = classifier
        if self.config.save_networks:
            file = Path(self.config.output) / "networks" / f"{method}-seed{self.seed}.safetensors"
            write_bytes(file, weights_bytes(classifier.network))
        extra: dict[str, Any] = dict(trained.observed)
        if RECIPES[method].dsink is not None:
            extra["teachers"] = {
                role: {"seconds": teacher.seconds, "reused": teacher.is_reused}
                for role, teacher in self.teachers.settled.items()
            }
        return score(
            self.config,
            self.datamodule,
            classifier,
            method=method,
            seconds=trained.seconds,
            extra=extra,
            curves=trained.curves,
        )

    def _train(self, method: str) -> tuple[Classifier, Trained]:
        """A row's network, trained; its teachers are settled before the clock of its training starts."""
        dsink = self.teachers.dsink(method)
        classifier, trained = train_fresh(
            self.config, self._training(method), self.datamodule, dsink=dsink, runner=self._runner
        )
        if method == _STUDENT:
            self.student = classifier
        return classifier, trained

    def _training(self, method: str) -> Training:
        """The training of a row: in the run's folder, or where the run whose document is continued had begun it."""
        training = self._own_training(method)
        earlier = document_path(self.config).parent / training.folder.parent.name / training.folder.name
        return replace(training, folder=earlier) if earlier.is_dir() and not training.folder.is_dir() else training

    def _own_training(self, method: str) -> Training:
        return row_training(self.config, method, seed=self.seed, manifest_sha256=self.datamodule.manifest.sha256)
