from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from torch import nn

from lt_callbacks.apps.build import build_classifier, build_datamodule, build_targets, build_trainer
from lt_callbacks.apps.history import History
from lt_callbacks.apps.predictions import Predictions, predict, shares, wrong_labels_fitted
from lt_callbacks.apps.progress import RunProgress
from lt_callbacks.apps.recipes import RECIPES, label
from lt_callbacks.apps.schemas import TeacherConfig, TrainConfig
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.evaluation import CellResult
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSinkCallback
from lt_callbacks.teachers import ModuleTeacher, TeacherStore, load_checkpoint
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.transport import sinkhorn

#: A network is seeded with `seed * NUM_ROLES + its role`.
NUM_ROLES = 10

# Networks of one study start from different weights in each role, and from the same ones in the same role.
_ROLE_SEEDS = {"student": 0, "imbalance": 1, "noise": 2}


@dataclass
class SeedStudy:
    """All methods of one seed: they share the corrupted data and the two teachers.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.

    Attributes:
        datamodule: The corrupted data.
        student: The target model that D-SINK trained, once it has.
    """

    config: TrainConfig
    source: Source
    seed: int
    progress: RunProgress
    datamodule: LongTailedDataModule = field(init=False)
    student: Classifier | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.datamodule = build_datamodule(self.config, self.source, seed=self.seed)
        self._teachers: dict[str, tuple[Classifier, float, bool]] = {}

    def run(self, method: str) -> CellResult:
        """Train (or, for a teacher's own row, look up) one method and score its last epoch on the test set."""
        recipe = RECIPES[method]
        if recipe.matches_marginal:
            return self._score_matched(method)
        if recipe.teacher is not None:
            classifier, seconds, is_reused = self.teacher(recipe.teacher)
            return self._score(method, classifier, seconds, {"reused": is_reused})
        classifier, seconds, observed, curves = self._train_student(method)
        return self._score(method, classifier, seconds, observed, curves)

    def teacher(self, role: str) -> tuple[Classifier, float, bool]:
        """The teacher of ``role`` ("imbalance" or "noise"), its training time, and whether it came from the store."""
        if role not in self._teachers:
            self._teachers[role] = self._make_teacher(role)
        return self._teachers[role]

    def frozen_teachers(self) -> tuple[ModuleTeacher, ModuleTeacher]:
        """f_N and f_L."""
        num_classes = self.datamodule.num_classes
        noise, imbalance = (
            ModuleTeacher(_Logits(self.teacher(role)[0]), num_classes=num_classes) for role in ("noise", "imbalance")
        )
        return noise, imbalance

    def _make_teacher(self, role: str) -> tuple[Classifier, float, bool]:
        group = f"{role}_teacher"
        chosen: TeacherConfig = getattr(self.config, group)
        name = f"seed {self.seed}, {role} teacher ({chosen.name})"
        with isolated_seed(self.seed * NUM_ROLES + _ROLE_SEEDS[role]):
            classifier = build_classifier(self.config, self.datamodule, group=group, learning_rate=chosen.learning_rate)
            if chosen.checkpoint is not None:
                load_checkpoint(chosen.checkpoint, classifier.network)
                self.progress.skip(name, "from its checkpoint")
                return classifier, 0.0, True
            max_epochs = self.config.trainer.max_epochs if chosen.max_epochs is None else chosen.max_epochs
            started = time.monotonic()

            def train(_: nn.Module) -> None:
                self._fit(classifier, name, [], max_epochs)

            is_reused = TeacherStore(Path(self.config.store).expanduser()).get_or_train(
                classifier.network,
                settings=self._teacher_settings(role, chosen, max_epochs),
                fingerprint=self.datamodule.fingerprint,
                train=train,
            )
        if is_reused:
            self.progress.skip(name, "reused from the store")
        return classifier, time.monotonic() - started, is_reused

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
            "devices": self.config.trainer.devices,
            "seed": self.seed,
            "role_seed": _ROLE_SEEDS[role],
        }

    def _train_student(self, method: str) -> tuple[Classifier, float, dict[str, Any], dict[str, list[float]]]:
        """The trained target model, the seconds it took, what its monitors saw last, and its curves."""
        make_dsink = RECIPES[method].dsink
        callbacks: list[Any] = []
        if make_dsink is not None:
            # The teachers are settled before this training's clock starts.
            callbacks.append(DSinkCallback(make_dsink(self.config, *self.frozen_teachers())))
            callbacks += build_targets("callbacks", self.config.callbacks, Callback)
        with isolated_seed(self.seed * NUM_ROLES + _ROLE_SEEDS["student"]):
            classifier = build_classifier(self.config, self.datamodule, group="objective")
            name = f"seed {self.seed}, {label(method, self.config)}"
            started = time.monotonic()
            trainer, history = self._fit(classifier, name, callbacks, self.config.trainer.max_epochs)
            seconds = time.monotonic() - started
        if method == "dsink":
            self.student = classifier
        metrics = trainer.callback_metrics
        observed = {key: _finite(float(value)) for key, value in metrics.items() if key.startswith("dsink/")}
        return classifier, seconds, observed, history.curves

    def _fit(self, classifier: Classifier, name: str, callbacks: list[Any], max_epochs: int) -> tuple[Trainer, History]:
        history = History(test_every_n_epochs=self.config.test_every_n_epochs)
        loggers = build_targets("logger", self.config.logger, Logger)
        for logger in loggers:
            logger.log_hyperparams({"training": name, "seed": self.seed})
        with self.progress.training(name) as bar:
            trainer = build_trainer(
                self.config, max_epochs=max_epochs, callbacks=[*callbacks, history, bar], logger=loggers or False
            )
            trainer.fit(classifier, datamodule=self.datamodule)
        return trainer, history

    def _score(
        self,
        method: str,
        classifier: Classifier,
        seconds: float,
        extra: dict[str, Any],
        curves: Mapping[str, list[float]] | None = None,
    ) -> CellResult:
        trainer = build_trainer(self.config)
        test = predict(trainer, classifier, self.datamodule.test_dataloader())
        train = predict(trainer, classifier, self.datamodule.predict_dataloader())
        lines = {name: [_finite(round(value, 4)) for value in line] for name, line in (curves or {}).items()}
        if lines:
            extra = {**extra, "curves": lines}
        tested = [value for value in lines.get("test_accuracy", []) if value is not None]
        if len(self.datamodule.val_indices):
            held_out = predict(trainer, classifier, self.datamodule.val_dataloader())
            is_right = held_out.logits.argmax(dim=1) == held_out.label
            extra = {**extra, "val_accuracy": 100 * float(is_right.float().mean())}
        return CellResult(
            method=label(method, self.config),
            seed=self.seed,
            seconds=seconds,
            cell=self.config.cell,
            best_accuracy=max(tested) if tested else None,
            wrong_labels_fitted=wrong_labels_fitted(train, self.datamodule),
            extra=extra,
            **shares(test.logits, test.label, self.datamodule),
        )

    def _score_matched(self, method: str) -> CellResult:
        role = RECIPES[method].teacher
        if role is not None:
            model = self.teacher(role)[0]
        else:
            model = self.student if self.student is not None else self._train_student("dsink")[0]
        scored, imbalance = (self._test_predictions(each) for each in (model, self.teacher("imbalance")[0]))
        plan = sinkhorn(scored.logits.log_softmax(dim=1), imbalance.logits.softmax(dim=1).sum(dim=0)).plan
        return CellResult(
            method=label(method, self.config),
            seed=self.seed,
            seconds=0.0,
            cell=self.config.cell,
            **shares(plan, scored.label, self.datamodule),
        )

    def _test_predictions(self, model: Classifier) -> Predictions:
        return predict(build_trainer(self.config), model, self.datamodule.test_dataloader())


class _Logits(nn.Module):
    """A classifier's network alone: what a teacher is, without objective and metrics."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.memory_format = classifier.memory_format

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.contiguous(memory_format=self.memory_format))


def _finite(value: float) -> float | None:
    """For JSON, which has no NaN: a diverged loss must not cost the finished training."""
    return value if math.isfinite(value) else None
