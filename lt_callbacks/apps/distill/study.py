from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.adsa import calibrate
from lt_callbacks.apps.config.build import build_trainer
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.distill.build import build_student, student_loss
from lt_callbacks.apps.distill.removed_images import removed_images
from lt_callbacks.apps.distill.rows import RECIPES, Recipe
from lt_callbacks.apps.distill.squeeze import NUM_ROLES
from lt_callbacks.apps.distill.stages import DistillStages
from lt_callbacks.apps.shared.kept_network import keep_if_there_is_room, take_network
from lt_callbacks.apps.shared.predictions import predict, shares
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.shared.provenance import NOT_RESULTS
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import ViewLoader, train_student
from lt_callbacks.distilled_set import Views
from lt_callbacks.evaluation import MethodResult, mean
from lt_callbacks.relabel.fit import FITTED_ON
from lt_callbacks.teachers.isolated_seed import isolated_seed


@dataclass
class DistillStudy:
    """All rows of one seed: students of the same distilled images, and what they are measured against.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.

    Attributes:
        stages: What the rows share: networks, distilled images, labelled views, tau.
    """

    config: DistillConfig
    source: Source
    seed: int
    progress: RunProgress
    stages: DistillStages = field(init=False)

    def __post_init__(self) -> None:
        self.stages = DistillStages(self.config, self.source, self.seed, self.progress)
        self._students: dict[float | None, tuple[dict[str, Any], float]] = {}

    @property
    def datamodule(self) -> LongTailedDataModule:
        """The corrupted data of the seed."""
        return self.stages.datamodule

    def run(self, method: str) -> MethodResult:
        """Train and score one row's student, or several for the oracle."""
        recipe = RECIPES[method]
        if recipe.is_network:
            return self._score_networks(recipe)
        if recipe.is_oracle:
            return self._score_oracle(recipe)
        tau = self._tau(recipe)
        found, seconds = self._student(recipe.title, tau)
        extra: dict[str, Any] = {"tau": tau, "stage_seconds": self._stage_seconds()}
        if recipe.is_fitted:
            extra["fit"] = self._fit_facts(recipe.fit_on or self.config.adsa.fit_on)
        return MethodResult(
            method=recipe.title, seed=self.seed, seconds=seconds, setting=self.config.setting, extra=extra, **found
        )

    def _tau(self, recipe: Recipe) -> float | None:
        """The strength that a row's labels are calibrated with; None: hard labels."""
        if recipe.is_hard:
            return None
        return self.stages.calibration(recipe.fit_on).fit.tau if recipe.is_fitted else recipe.tau

    def _fit_facts(self, fit_on: str) -> dict[str, Any]:
        """The fit in use, and what the other kinds of view would have given."""
        fit = self.stages.calibration(fit_on).fit
        others = {kind: self.stages.calibration(kind).fit.tau for kind in FITTED_ON}
        return {
            "fit_on": fit_on,
            "interval": None if fit.interval is None else list(fit.interval),
            "identified": fit.identified,
            "reason": fit.reason,
            "confidence_before": fit.class_confidence_before.tolist(),
            "confidence_after": fit.class_confidence.tolist(),
            "tau_by_views": others,
        }

    def _student(self, title: str, tau: float | None) -> tuple[dict[str, Any], float]:
        """Scores and seconds of the student with tau; None: hard labels."""
        if tau not in self._students:
            self._students[tau] = self._train_student(title, tau)
        return self._students[tau]

    def _train_student(self, title: str, tau: float | None) -> tuple[dict[str, Any], float]:
        stages, loss = self.stages, student_loss(self.config, is_hard=tau is None)
        num_passes = self.config.student.num_passes
        batches = ViewLoader(
            views=Views(stages.distilled, stages.views, device=stages.device),
            classes=stages.distilled.intended_class,
            labels=stages.labels if loss.needs_soft_labels else None,
            adjust=partial(calibrate, class_prior=stages.class_prior, tau=tau) if tau else None,
            batch_size=self.config.student.batch_size,
            num_passes=num_passes,
            passes_per_epoch=max(1, num_passes // 20),
            seed=self.seed,
        )
        name = f"seed {self.seed}, {title}" + ("" if tau is None else f" (tau {tau:.2f})")
        seed, folder = self.seed * NUM_ROLES + NUM_ROLES - 1, self._student_folder(tau)
        with isolated_seed(seed):
            earlier = build_student(self.config, self.datamodule, loss=loss)
        facts = take_network(folder, earlier)
        if facts is not None:
            self.progress.skip(name, "trained before")
            return self._scores(build_trainer(self.config), earlier), facts["seconds"]
        with self.progress.training(name) as bar:
            started = time.monotonic()
            student = train_student(
                lambda: build_student(self.config, self.datamodule, loss=loss),
                batches,
                trainer=lambda max_epochs: build_trainer(self.config, max_epochs=max_epochs, callbacks=[bar]),
                seed=seed,
            )
            seconds = time.monotonic() - started
        keep_if_there_is_room(folder, student, {"seconds": seconds}, name=name, say=self.progress.say)
        return self._scores(student.trainer, student), seconds

    def forget_students(self) -> None:
        """Remove the trained students that were kept until the results of their rows were safe."""
        kept = Path(self.config.output) / "unfinished"
        for folder in kept.glob(f"student-seed{self.seed}-*"):
            shutil.rmtree(folder, ignore_errors=True)
        # It may hold those of other seeds.
        with suppress(OSError):
            kept.rmdir()

    def _student_folder(self, tau: float | None) -> Path:
        """For a student of this seed, by all that it is trained with."""
        settings = {name: value for name, value in asdict(self.config).items() if name not in NOT_RESULTS}
        identity = sha256(canonical_json([settings, self.datamodule.fingerprint, self.seed, tau]))
        return Path(self.config.output) / "unfinished" / f"student-seed{self.seed}-{identity[:12]}"

    def _scored(self) -> Any:
        """Batches that rows are scored on."""
        return self.datamodule.test_dataloader() if self.config.score_on == "test" else removed_images(self.datamodule)

    def _scores(self, trainer: Trainer, model: Any) -> dict[str, Any]:
        found = predict(trainer, model, self._scored())
        return self._shares(found.logits, found.label)

    def _shares(self, logits: Tensor, label: Tensor) -> dict[str, Any]:
        found = shares(logits, label, self.datamodule)
        if self.config.score_on == "removed":
            # The images that are left over are those of the tail.
            found["accuracy"] = mean([share for share in found["per_class"] if share is not None])
        return found

    def _score_networks(self, recipe: Recipe) -> MethodResult:
        teacher, device = self.stages.teacher, self.stages.device
        with torch.no_grad():
            parts = [(teacher(images.to(device)).cpu(), label.cpu()) for images, label, _ in self._scored()]
        logits, label = (torch.cat(part) for part in zip(*parts, strict=True))
        return MethodResult(
            method=recipe.title,
            seed=self.seed,
            seconds=self.stages.seconds.get("squeeze", 0.0),
            setting=self.config.setting,
            **self._shares(logits, label),
        )

    def _score_oracle(self, recipe: Recipe) -> MethodResult:
        """The best of the fixed taus by accuracy on the test set: what no choice of tau among them can beat."""
        by_tau = {tau: self._student("oracle", tau) for tau in sorted(set(self.config.oracle_taus))}
        best = max(by_tau, key=lambda tau: by_tau[tau][0]["accuracy"])
        found: Mapping[str, Any] = by_tau[best][0]
        return MethodResult(
            method=recipe.title,
            seed=self.seed,
            seconds=sum(seconds for _, seconds in by_tau.values()),
            setting=self.config.setting,
            extra={"tau": best, "by_tau": {f"{tau:g}": scores["accuracy"] for tau, (scores, _) in by_tau.items()}},
            **found,
        )

    def _stage_seconds(self) -> dict[str, float]:
        return {stage: round(seconds, 2) for stage, seconds in self.stages.seconds.items()}
