from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from lt_callbacks.adsa import TauEstimator, TauFit, calibrate
from lt_callbacks.apps.config.build import build_datamodule, build_trainer
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.distill.build import build_student, student_loss, view_settings
from lt_callbacks.apps.distill.removed_images import removed_images
from lt_callbacks.apps.distill.rows import RECIPES, Recipe
from lt_callbacks.apps.distill.squeeze import NUM_ROLES, squeeze
from lt_callbacks.apps.distill.store import DistilledStore
from lt_callbacks.apps.shared.predictions import predict, shares
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import MeanLogits, RealImages, ViewLoader, build_distiller
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings, write_soft_labels
from lt_callbacks.evaluation import MethodResult, mean
from lt_callbacks.methods import ClassifierNetwork
from lt_callbacks.relabel.fit import FITTED_ON, add_observations, fit_of_images, plain_logits
from lt_callbacks.teachers.isolated_seed import isolated_seed

_BATCH = 256


@dataclass
class DistillStudy:
    """All rows of one seed: they share the networks, the distilled images and the labelled views.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.

    Attributes:
        datamodule: The corrupted data.
        seconds: Stage -> seconds that it took in this run; next to nothing where its files were reused.
    """

    config: DistillConfig
    source: Source
    seed: int
    progress: RunProgress
    datamodule: LongTailedDataModule = field(init=False)
    seconds: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.datamodule = build_datamodule(self.config, self.source, seed=self.seed)
        self._store = DistilledStore(Path(self.config.store).expanduser())
        self._fits: dict[str, TauFit] = {}
        self._students: dict[float | None, tuple[dict[str, Any], float]] = {}

    def run(self, method: str) -> MethodResult:
        """Train and score one row's student, or several for the oracle."""
        recipe = RECIPES[method]
        if recipe.is_network:
            return self._score_networks(recipe)
        if recipe.is_oracle:
            return self._score_oracle(recipe)
        fit_on = recipe.fit_on or self.config.adsa.fit_on
        tau = None if recipe.is_hard else self.fit_tau(fit_on).tau if recipe.is_fitted else recipe.tau
        found, seconds = self._student(recipe.title, tau)
        extra: dict[str, Any] = {"tau": tau, "stage_seconds": self._stage_seconds()}
        if recipe.is_fitted:
            extra["fit"] = self._fit_facts(fit_on)
        return MethodResult(
            method=recipe.title, seed=self.seed, seconds=seconds, setting=self.config.setting, extra=extra, **found
        )

    @cached_property
    def device(self) -> torch.device:
        """Where images and labels are made."""
        return build_trainer(self.config).strategy.root_device

    @cached_property
    def networks(self) -> list[ClassifierNetwork]:
        """Trained on the real images, or from the store."""
        return self._squeezed[0]

    @property
    def network_keys(self) -> list[str]:
        """Of the networks in the store: they say what they were trained with and on."""
        return self._squeezed[1]

    @cached_property
    def _squeezed(self) -> tuple[list[ClassifierNetwork], list[str]]:
        started = time.monotonic()
        networks, keys = squeeze(self.config, self.datamodule, seed=self.seed, progress=self.progress)
        self.seconds["squeeze"] = time.monotonic() - started
        return [network.to(self.device) for network in networks], keys

    @cached_property
    def teacher(self) -> MeanLogits:
        """All networks as one."""
        return MeanLogits(self.networks).eval()

    @cached_property
    def class_prior(self) -> Tensor:
        """(C,) counts of the given labels that the networks were trained on."""
        return torch.tensor(self.datamodule.class_counts, dtype=torch.float64)

    @cached_property
    def distilled(self) -> DistilledSet:
        """The images: made, or from the store."""
        return self._made[0]

    @cached_property
    def _made(self) -> tuple[DistilledSet, str]:
        chosen = self.config.distiller
        distiller = build_distiller(chosen.name, settings=chosen.settings)
        networks, keys = self._squeezed if distiller.needs_networks else ([], [])
        settings = {
            "distiller": distiller.name,
            "settings": distiller.settings(),
            "images_per_class": chosen.images_per_class,
            "seed": self.seed,
            "networks": keys,
            "data": self.datamodule.fingerprint,
        }
        name = f"seed {self.seed}, recover ({distiller.name})"
        started = time.monotonic()

        def make() -> DistilledSet:
            with self.progress.stage(name) as on_step, isolated_seed(self.seed):
                return distiller.distil(
                    RealImages.of(self.datamodule, device=self.device),
                    networks,
                    images_per_class=chosen.images_per_class,
                    seed=self.seed,
                    provenance={"manifest_sha256": self.datamodule.manifest.sha256},
                    on_step=on_step,
                )

        distilled, key, is_reused = self._store.get_or_make(settings, make)
        if is_reused:
            self.progress.skip(name, "reused from the store")
        self.seconds["recover"] = time.monotonic() - started
        return distilled, key

    @cached_property
    def views(self) -> ViewSettings:
        """How the distilled images are varied."""
        return view_settings(self.config, self.source, seed=self.seed)

    @cached_property
    def labels(self) -> SoftLabels:
        """The networks' logits of every view, uncalibrated: made, or from the store."""
        distilled, key = self._made
        # Trained here where the images did without them; not a part of the relabelling's seconds.
        networks = self.network_keys
        name, started = f"seed {self.seed}, relabel", time.monotonic()
        total = self.config.views.num_views
        with self._store.labels(
            key,
            distilled,
            networks=networks,
            precision=self.config.trainer.precision,
            views=self.views,
            num_views=total,
        ) as labels:
            missing = len(labels.missing_views())
            if missing:
                done = iter(range(total - missing + 1, total + 1))
                with self.progress.stage(name) as on_step:
                    write_soft_labels(
                        self.teacher,
                        Views(distilled, self.views, device=self.device),
                        labels,
                        batch_size=_BATCH,
                        on_view=lambda _: on_step(next(done), total),
                    )
            else:
                self.progress.skip(name, "reused from the store")
        self.seconds["relabel"] = time.monotonic() - started
        return labels

    @property
    def tau_fit(self) -> TauFit:
        """ADSA's tau, from the distilled images alone."""
        return self.fit_tau(self.config.adsa.fit_on)

    def fit_tau(self, fit_on: str) -> TauFit:
        """Tau fitted on ``"plain"``, ``"crops"`` or ``"mixed"`` views; once."""
        if fit_on not in self._fits:
            self._fits[fit_on] = self._fit_tau(fit_on)
        return self._fits[fit_on]

    def _fit_tau(self, fit_on: str) -> TauFit:
        chosen = self.config.adsa
        estimator = TauEstimator(self.class_prior, shrink_to=chosen.shrink_to).to(self.device)
        samples = torch.arange(len(self.distilled))
        plain = plain_logits(self.teacher, self.distilled, samples, device=self.device, batch_size=_BATCH)
        add_observations(
            estimator,
            self.teacher,
            self.distilled,
            samples,
            fit_on=fit_on,
            plain=plain,
            views=self.views,
            num_views=chosen.num_fit_views,
            batch_size=_BATCH,
        )
        return fit_of_images(estimator, self.distilled)

    def _fit_facts(self, fit_on: str) -> dict[str, Any]:
        """The fit in use, and what the other kinds of view would have given."""
        fit = self.fit_tau(fit_on)
        others = {kind: self.fit_tau(kind).tau for kind in FITTED_ON}
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
        chosen = self.config.student
        loss = student_loss(self.config, is_hard=tau is None)
        loader = ViewLoader(
            views=Views(self.distilled, self.views, device=self.device),
            classes=self.distilled.intended_class,
            labels=self.labels if loss.needs_soft_labels else None,
            adjust=partial(calibrate, class_prior=self.class_prior, tau=tau) if tau else None,
            batch_size=chosen.batch_size,
            num_passes=chosen.num_passes,
            passes_per_epoch=max(1, chosen.num_passes // 20),
            seed=self.seed,
        )
        name = f"seed {self.seed}, {title}" + ("" if tau is None else f" (tau {tau:.2f})")
        with isolated_seed(self.seed * NUM_ROLES + NUM_ROLES - 1), self.progress.training(name) as bar:
            student = build_student(self.config, self.datamodule, loss=loss)
            started = time.monotonic()
            trainer = build_trainer(self.config, max_epochs=loader.num_epochs, callbacks=[bar])
            trainer.fit(student, train_dataloaders=loader)
            seconds = time.monotonic() - started
        return self._scores(trainer, student), seconds

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
        with torch.no_grad():
            parts = [(self.teacher(images.to(self.device)).cpu(), label.cpu()) for images, label, _ in self._scored()]
        logits, label = (torch.cat(part) for part in zip(*parts, strict=True))
        return MethodResult(
            method=recipe.title,
            seed=self.seed,
            seconds=self.seconds.get("squeeze", 0.0),
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
        return {stage: round(seconds, 2) for stage, seconds in self.seconds.items()}
