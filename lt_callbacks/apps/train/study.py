from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from lt_callbacks._files import canonical_json, sha256, write_bytes
from lt_callbacks.apps.config.build import build_classifier, build_datamodule, build_scoring_trainer, num_ranks
from lt_callbacks.apps.config.train_schemas import TeacherConfig, TrainConfig
from lt_callbacks.apps.shared.predictions import Predictions, predict, shares, wrong_labels_fitted
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.cached_teachers import cached_teacher
from lt_callbacks.apps.train.fit import Trained, Training, finite, fit
from lt_callbacks.apps.train.phase import Phase, PhaseRunner
from lt_callbacks.apps.train.rows import RECIPES, title
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher, TeacherStore, load_checkpoint
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.weights import load_weights, weights_bytes
from lt_callbacks.transport import sinkhorn

#: A network is seeded with `seed * NUM_ROLES + its role`.
NUM_ROLES = 10

# Networks of one study start from different weights in each role, and from the same ones in the same role.
_ROLE_SEEDS = {"student": 0, "imbalance": 1, "noise": 2}
_ROLE_OF_GROUP = {"objective": "student", "imbalance_teacher": "imbalance", "noise_teacher": "noise"}

# Settings that a training does not depend on: those of its surroundings, and the rows and seeds beside it.
_NOT_A_TRAININGS = (
    *("output", "store", "results", "setting", "logger", "threads", "methods", "seed", "num_seeds"),
    *("ckpt_path", "save_networks", "checkpoint_every_seconds", "checkpoint_every_n_steps"),
)


class Runner(Protocol):
    """Where trainings run."""

    def train(self, study: SeedStudy, training: Training, classifier: Classifier) -> Trained:
        """Train ``classifier`` in place."""


class InProcess:
    """Trains in this process, on one device.

    Args:
        progress: Where to show it.
        preemption: Whether to stop.
    """

    def __init__(self, progress: RunProgress, preemption: Preemption) -> None:
        self.progress, self.preemption = progress, preemption

    def train(self, study: SeedStudy, training: Training, classifier: Classifier) -> Trained:
        """See `Runner`."""
        dsink = study.dsink(training)
        with self.progress.training(training.name) as bar:
            return fit(
                study.config,
                training,
                classifier,
                study.datamodule,
                dsink=dsink,
                progress=bar,
                preemption=self.preemption,
            )


class InPhases:
    """Trains in a process group for each training.

    Args:
        phases: Starts it.
    """

    def __init__(self, phases: PhaseRunner) -> None:
        self.phases = phases

    def train(self, study: SeedStudy, training: Training, classifier: Classifier) -> Trained:
        """See `Runner`; the facts settle the teachers before any rank starts."""
        phase = Phase(config=study.config, training=training, facts=study.facts(training))
        return self.phases.train(phase, classifier.network)


@dataclass
class SeedStudy:
    """All methods of one seed: they share the corrupted data and the two teachers.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.
        runner: Where trainings run; None: in this process.

    Attributes:
        datamodule: The corrupted data.
        student: The target model that D-SINK trained, once it has.
    """

    config: TrainConfig
    source: Source
    seed: int
    progress: RunProgress
    runner: Runner | None = None
    datamodule: LongTailedDataModule = field(init=False)
    student: Classifier | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.datamodule = build_datamodule(self.config, self.source, seed=self.seed)
        self._teachers: dict[str, tuple[Classifier, float, bool]] = {}
        self._cached: dict[str, CachedTeacher] = {}
        self._store = TeacherStore(Path(self.config.store).expanduser())

    def run(self, method: str) -> MethodResult:
        """Train (or, for a teacher's own row, look up) one method and score its last epoch on the test set."""
        recipe = RECIPES[method]
        if recipe.matches_marginal:
            return self._score_matched(method)
        if recipe.teacher is not None:
            classifier, seconds, is_reused = self.teacher(recipe.teacher)
            return self._score(method, classifier, seconds, {"reused": is_reused})
        classifier, trained = self._train_student(method)
        if self.config.save_networks:
            file = Path(self.config.output) / "networks" / f"{method}-seed{self.seed}.safetensors"
            write_bytes(file, weights_bytes(classifier.network))
        extra: dict[str, Any] = dict(trained.observed)
        if recipe.dsink is not None:
            extra["teachers"] = {
                role: {"seconds": seconds, "reused": is_reused}
                for role, (_, seconds, is_reused) in self._teachers.items()
            }
        return self._score(method, classifier, trained.seconds, extra, trained.curves)

    def finish(self, method: str) -> None:
        """Forget the checkpoint of a row whose result is safe."""
        shutil.rmtree(self._row_training(method).folder, ignore_errors=True)

    def teacher(self, role: str) -> tuple[Classifier, float, bool]:
        """The teacher of ``role`` ("imbalance" or "noise"), its training time, and whether it came from the store."""
        if role not in self._teachers:
            self._teachers[role] = self._make_teacher(role)
        return self._teachers[role]

    def frozen_teachers(self) -> tuple[ModuleTeacher, ModuleTeacher]:
        """f_N and f_L, live."""
        noise, imbalance = (
            ModuleTeacher(
                _Logits(self.teacher(role)[0]),
                num_classes=self.datamodule.num_classes,
                compile=self.config.model.compile,
            )
            for role in ("noise", "imbalance")
        )
        return noise, imbalance

    def step_teachers(self) -> tuple[FrozenTeacher, FrozenTeacher]:
        """f_N and f_L as a training step asks them: live, or by their predictions of all samples."""
        noise, imbalance = self.frozen_teachers()
        if self.config.teachers == "live":
            return noise, imbalance
        for role, live in (("noise", noise), ("imbalance", imbalance)):
            if role not in self._cached:
                self._cached[role] = cached_teacher(
                    live,
                    self.config,
                    self.datamodule,
                    store=self._store.root,
                    name=f"seed {self.seed}, predictions of the {role} teacher",
                    progress=self.progress,
                )
        return self._cached["noise"], self._cached["imbalance"]

    def dsink(self, training: Training) -> DSink | None:
        """What a training adds to its loss, with both teachers settled."""
        make_dsink = None if training.method is None else RECIPES[training.method].dsink
        return None if make_dsink is None else make_dsink(self.config, *self.step_teachers())

    def facts(self, training: Training) -> dict[str, Any]:
        """What a training is made of, by content; equal on all of its ranks."""
        facts: dict[str, Any] = {"manifest": self.datamodule.manifest.sha256, "data": self.datamodule.fingerprint}
        dsink = self.dsink(training)
        if dsink is not None:
            facts["noise_teacher"] = dsink.noise_teacher.sha256()
            facts["imbalance_teacher"] = dsink.imbalance_teacher.sha256()
        return facts

    def train(self, training: Training) -> tuple[Classifier, Trained]:
        """A fresh network of the training's role, trained."""
        with isolated_seed(self.seed * NUM_ROLES + _ROLE_SEEDS[_ROLE_OF_GROUP[training.group]]):
            classifier = self._fresh(training.group, training.learning_rate)
            return classifier, self._runner.train(self, training, classifier)

    @property
    def _runner(self) -> Runner:
        return self.runner or InProcess(self.progress, Preemption())

    def _fresh(self, group: str, learning_rate: float | None) -> Classifier:
        return build_classifier(self.config, self.datamodule, group=group, learning_rate=learning_rate)

    def _make_teacher(self, role: str) -> tuple[Classifier, float, bool]:
        group = f"{role}_teacher"
        chosen: TeacherConfig = getattr(self.config, group)
        name = f"seed {self.seed}, {role} teacher ({chosen.name})"
        with isolated_seed(self.seed * NUM_ROLES + _ROLE_SEEDS[role]):
            classifier = self._fresh(group, chosen.learning_rate)
        if chosen.checkpoint is not None:
            load_checkpoint(chosen.checkpoint, classifier.network)
            self.progress.skip(name, "from its checkpoint")
            return classifier, 0.0, True
        max_epochs = self.config.trainer.max_epochs if chosen.max_epochs is None else chosen.max_epochs
        settings, data = self._teacher_settings(role, chosen, max_epochs), self.datamodule.fingerprint
        key = self._store.key(settings, data)
        training = Training(
            name=name,
            group=group,
            seed=self.seed,
            method=None,
            max_epochs=max_epochs,
            learning_rate=chosen.learning_rate,
            folder=self._store.unfinished(key),
        )
        seconds = 0.0

        def train(network: nn.Module) -> None:
            nonlocal seconds
            trained_classifier, trained = self.train(training)
            load_weights(network, trained_classifier.network.state_dict(), source=name)
            seconds = trained.seconds

        started = time.monotonic()
        is_reused = self._store.get_or_train(
            classifier.network,
            settings=settings,
            fingerprint=data,
            train=train,
            on_wait=lambda who: self.progress.say(f"  {name}: waiting for {who}, which trains it"),
        )
        if is_reused:
            self.progress.skip(name, "reused from the store")
            seconds = time.monotonic() - started
        return classifier, seconds, is_reused

    def _teacher_settings(self, role: str, chosen: TeacherConfig, max_epochs: int) -> dict[str, Any]:
        """What the teacher depends on besides the data; a change here makes every stored teacher a stranger."""
        optimisation = dict(vars(self.config.optimisation))
        if chosen.learning_rate is not None:
            optimisation["learning_rate"] = chosen.learning_rate
        return {
            "model": {"name": self.config.model.name, "width": self.config.model.width},
            "objective": {"name": chosen.name, "settings": dict(chosen.settings)},
            "optimisation": {**optimisation, "milestones": list(optimisation["milestones"])},
            "max_epochs": max_epochs,
            "batch_size": self.config.data.batch_size,
            "precision": self.config.trainer.precision,
            "gradient_clip_val": self.config.trainer.gradient_clip_val,
            # Over all nodes: two of one device each train the teacher of one with two.
            "devices": num_ranks(self.config),
            "seed": self.seed,
            "role_seed": _ROLE_SEEDS[role],
        }

    def _row_training(self, method: str) -> Training:
        shown = title(method, self.config)
        settings = {name: value for name, value in asdict(self.config).items() if name not in _NOT_A_TRAININGS}
        # The settings too: a folder may be used again, with others.
        identity = sha256(canonical_json([settings, method, self.seed, self.datamodule.manifest.sha256]))
        return Training(
            name=f"seed {self.seed}, {shown}",
            group="objective",
            seed=self.seed,
            method=method,
            max_epochs=self.config.trainer.max_epochs,
            learning_rate=None,
            folder=Path(self.config.output) / "unfinished" / f"{method}-seed{self.seed}-{identity[:12]}",
        )

    def _train_student(self, method: str) -> tuple[Classifier, Trained]:
        if RECIPES[method].dsink is not None:
            # The teachers are settled before this training's clock starts.
            self.step_teachers()
        classifier, trained = self.train(self._row_training(method))
        if method == "dsink":
            self.student = classifier
        return classifier, trained

    def _score(
        self,
        method: str,
        classifier: Classifier,
        seconds: float,
        extra: dict[str, Any],
        curves: Mapping[str, list[float]] | None = None,
    ) -> MethodResult:
        trainer = build_scoring_trainer(self.config)
        test = predict(trainer, classifier, self.datamodule.test_dataloader())
        train = predict(trainer, classifier, self.datamodule.predict_dataloader())
        lines = {name: [finite(round(value, 4)) for value in line] for name, line in (curves or {}).items()}
        if lines:
            extra = {**extra, "curves": lines}
        tested = [value for value in lines.get("test_accuracy", []) if value is not None]
        if len(self.datamodule.val_indices):
            held_out = predict(trainer, classifier, self.datamodule.val_dataloader())
            is_right = held_out.logits.argmax(dim=1) == held_out.label
            extra = {**extra, "val_accuracy": 100 * float(is_right.float().mean())}
        return MethodResult(
            method=title(method, self.config),
            seed=self.seed,
            seconds=seconds,
            setting=self.config.setting,
            best_accuracy=max(tested) if tested else None,
            wrong_labels_fitted=wrong_labels_fitted(train, self.datamodule),
            extra=extra,
            **shares(test.logits, test.label, self.datamodule),
        )

    def _score_matched(self, method: str) -> MethodResult:
        role = RECIPES[method].teacher
        if role is not None:
            model = self.teacher(role)[0]
        else:
            model = self.student if self.student is not None else self._train_student("dsink")[0]
        scored, imbalance = (self._test_predictions(each) for each in (model, self.teacher("imbalance")[0]))
        plan = sinkhorn(scored.logits.log_softmax(dim=1), imbalance.logits.softmax(dim=1).sum(dim=0)).plan
        return MethodResult(
            method=title(method, self.config),
            seed=self.seed,
            seconds=0.0,
            setting=self.config.setting,
            **shares(plan, scored.label, self.datamodule),
        )

    def _test_predictions(self, model: Classifier) -> Predictions:
        return predict(build_scoring_trainer(self.config), model, self.datamodule.test_dataloader())


class _Logits(nn.Module):
    """A classifier's network alone: what a teacher is, without objective and metrics."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.memory_format = classifier.memory_format

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.contiguous(memory_format=self.memory_format))
