from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from lt_callbacks.apps.build import build_classifier, build_datamodule
from lt_callbacks.apps.history import History
from lt_callbacks.apps.predictions import Predictions, predict, shares, wrong_labels_fitted
from lt_callbacks.apps.progress import RunProgress
from lt_callbacks.apps.recipes import RECIPES, Recipe
from lt_callbacks.apps.schemas import TeacherConfig, TrainConfig
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.evaluation import CellResult
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSinkCallback
from lt_callbacks.teachers import ModuleTeacher, TeacherStore, load_checkpoint
from lt_callbacks.transport import sinkhorn

# Networks of one study start from different weights in each role, and from the same ones in the same role.
_ROLE_SEEDS = {"student": 0, "imbalance": 1, "noise": 2}
_NUM_ROLES = 10


@dataclass
class SeedStudy:
    """All methods of one seed: they share the corrupted data and the two teachers.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.
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
            return self._score_matched(recipe)
        if recipe.teacher is not None:
            classifier, seconds, is_reused = self.teacher(recipe.teacher)
            return self._score(recipe, classifier, seconds, {"reused": is_reused}, None)
        return self._train_student(recipe)

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
        chosen: TeacherConfig = getattr(self.config, f"{role}_teacher")
        with isolate_rng():
            seed_everything(self.seed * _NUM_ROLES + _ROLE_SEEDS[role], verbose=False)
            classifier = build_classifier(
                self.config,
                self.datamodule,
                objective=chosen.name,
                settings=chosen.settings,
                learning_rate=chosen.learning_rate,
            )
            if chosen.checkpoint is not None:
                load_checkpoint(chosen.checkpoint, classifier.network)
                return classifier, 0.0, True
            max_epochs = chosen.max_epochs or self.config.trainer.max_epochs
            started = time.monotonic()

            def train(_: nn.Module) -> None:
                self._fit(classifier, f"{role} teacher ({chosen.name})", [], max_epochs)

            is_reused = TeacherStore(Path(self.config.store).expanduser()).get_or_train(
                classifier.network,
                settings=self._teacher_settings(role, chosen, max_epochs),
                fingerprint=self.datamodule.fingerprint,
                train=train,
            )
        if is_reused:
            self.progress.say(f"  {role} teacher ({chosen.name}): reused from the store")
        return classifier, time.monotonic() - started, is_reused

    def _teacher_settings(self, role: str, chosen: TeacherConfig, max_epochs: int) -> dict[str, Any]:
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

    def _train_student(self, recipe: Recipe) -> CellResult:
        callbacks: list[Any] = []
        if recipe.dsink is not None:
            # The teachers are settled before this training's clock starts.
            callbacks.append(DSinkCallback(recipe.dsink(self.config, *self.frozen_teachers())))
            callbacks += [_instantiate(f"callbacks.{name}", node) for name, node in self.config.callbacks.items()]
        with isolate_rng():
            seed_everything(self.seed * _NUM_ROLES + _ROLE_SEEDS["student"], verbose=False)
            classifier = build_classifier(
                self.config,
                self.datamodule,
                objective=self.config.objective.name,
                settings=self.config.objective.settings,
            )
            started = time.monotonic()
            trainer, history = self._fit(classifier, recipe.label, callbacks, self.config.trainer.max_epochs)
            seconds = time.monotonic() - started
        observed = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("dsink/")}
        if recipe.label == RECIPES["dsink"].label:
            self.student = classifier
        return self._score(recipe, classifier, seconds, observed, history)

    def _fit(self, classifier: Classifier, name: str, callbacks: list[Any], max_epochs: int) -> tuple[Trainer, History]:
        history = History(test_every_n_epochs=self.config.test_every_n_epochs)
        loggers = [_instantiate(f"logger.{key}", node) for key, node in self.config.logger.items()]
        with self.progress.training(f"seed {self.seed}, {name}") as bar:
            trainer = self._trainer(
                max_epochs=max_epochs, callbacks=[*callbacks, history, bar], logger=loggers or False
            )
            trainer.fit(classifier, datamodule=self.datamodule)
        return trainer, history

    def _trainer(self, **changes: Any) -> Trainer:
        quiet = {
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "num_sanity_val_steps": 0,
            "logger": False,
            "default_root_dir": self.config.output,
        }
        return Trainer(**{**vars(self.config.trainer), **quiet, **changes})

    def _score(
        self,
        recipe: Recipe,
        classifier: LightningModule,
        seconds: float,
        extra: dict[str, Any],
        history: History | None,
    ) -> CellResult:
        trainer = self._trainer()
        test = predict(trainer, classifier, self.datamodule.test_dataloader())
        train = predict(trainer, classifier, self.datamodule.predict_dataloader())
        curves = {} if history is None else {name: _rounded(values) for name, values in history.curves.items()}
        tested = [value for value in curves.get("test_accuracy", []) if value is not None]
        extra = {**extra, **({"curves": curves} if curves else {})}
        if len(self.datamodule.val_indices):
            extra["val_accuracy"] = 100 * self._held_out_accuracy(trainer, classifier)
        return CellResult(
            method=recipe.label,
            seed=self.seed,
            seconds=seconds,
            cell=self.config.cell,
            best_accuracy=max(tested) if tested else None,
            wrong_labels_fitted=wrong_labels_fitted(train, self.datamodule),
            extra=extra,
            **shares(test.logits, test.label, self.datamodule),
        )

    def _held_out_accuracy(self, trainer: Trainer, classifier: LightningModule) -> float:
        held_out = predict(trainer, classifier, self.datamodule.val_dataloader())
        return float((held_out.logits.argmax(dim=1) == held_out.label).float().mean())

    def _score_matched(self, recipe: Recipe) -> CellResult:
        if recipe.teacher is not None:
            model = self.teacher(recipe.teacher)[0]
        else:
            if self.student is None:
                self._train_student(RECIPES["dsink"])
            model = self.student  # type: ignore[assignment]  # set by the training above
        scored, imbalance = (self._test_predictions(each) for each in (model, self.teacher("imbalance")[0]))
        plan = sinkhorn(scored.logits.log_softmax(dim=1), imbalance.logits.softmax(dim=1).sum(dim=0)).plan
        return CellResult(
            method=recipe.label,
            seed=self.seed,
            seconds=0.0,
            cell=self.config.cell,
            **shares(plan, scored.label, self.datamodule),
        )

    def _test_predictions(self, model: Classifier) -> Predictions:
        return predict(self._trainer(), model, self.datamodule.test_dataloader())


class _Logits(nn.Module):
    """A classifier's network alone: what a teacher is, without objective and metrics."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.memory_format = classifier.memory_format

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.contiguous(memory_format=self.memory_format))


def _rounded(values: list[float]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values]


def _instantiate(name: str, node: Any) -> Any:
    if not isinstance(node, dict) or "_target_" not in node:
        raise ValueError(
            f"`{name}` must have a `_target_`, the class to build; got {node!r}. Remove it or name the class."
        )
    return hydra.utils.instantiate(node)
