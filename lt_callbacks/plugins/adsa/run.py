# Legend: N distilled images, C classes, V views.
from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lt_callbacks.adsa import TauEstimator, TauFit, calibrate
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings, write_soft_labels
from lt_callbacks.plugins.adsa.network import TrainedNetwork, check_network, share_buffers, weights_sha256
from lt_callbacks.plugins.adsa.report import figures_of, log_report, metrics_of, save_figures
from lt_callbacks.relabel.alarms import LabelQuality, alarms, label_quality, label_sums
from lt_callbacks.relabel.fit import add_observations, fit_of_images, plain_logits
from lt_callbacks.relabel.folder import LABELS, RelabelledFolder

#: tau is used to so many decimals: a run that goes on after it was killed, on a device that adds in another order, then
#: finds the tau that its first labels were made with.
_TAU_DECIMALS = 6
_SECONDS_BETWEEN_LINES = 10.0

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelling:
    """What :class:`ADSACallback` was asked for, checked and filled in; does the work on all ranks together.

    Attributes:
        distilled: The set.
        class_prior: (C,) float64 counts or frequencies.
        prior_source: ``"datamodule"`` or ``"argument"``.
        folder: Where the output goes.

    The others are those of the callback, without None where it means a default.
    """

    distilled: DistilledSet
    class_prior: Tensor
    prior_source: str
    folder: RelabelledFolder
    fit_on: str
    num_fit_views: int
    views: ViewSettings
    num_views: int
    target_prior: Tensor | None
    shrink_to: float | None
    top_k: int | None
    batch_size: int
    on_degenerate: str

    def check_network(self, trainer: Trainer, module: LightningModule) -> None:
        """Raise unless the module gives logits of the set's classes for its images."""
        network = TrainedNetwork(module, precision=trainer.precision_plugin)
        check_network(network, self.distilled, device=trainer.strategy.root_device)

    def relabel(self, trainer: Trainer, module: LightningModule) -> TauFit:
        """Fit tau and write the output; every rank calls it, rank 0 writes all but its share of the labels.

        Raises:
            RuntimeError: There are alarms and ``on_degenerate`` is ``"raise"``, or another rank failed.
            ValueError: Logits are not finite.
        """
        if trainer.world_size > 1:
            share_buffers(module)
        network = TrainedNetwork(module, precision=trainer.precision_plugin)
        samples = torch.arange(trainer.global_rank, len(self.distilled), trainer.world_size)
        estimator = TauEstimator(self.class_prior, shrink_to=self.shrink_to).to(trainer.strategy.root_device)
        plain = _on_all_ranks(trainer, partial(self._observe, network, estimator, samples))
        fit = fit_of_images(estimator, self.distilled)
        fit = replace(fit, tau=round(fit.tau, _TAU_DECIMALS))
        quality = self._quality(trainer, plain, samples, fit)
        found = alarms(fit, quality, class_names=self.distilled.class_names)
        self._raise_or_warn(found, trainer)
        self._write(trainer, network, fit, quality, found)
        return fit

    def _observe(self, network: TrainedNetwork, estimator: TauEstimator, samples: Tensor) -> Tensor:
        device = estimator.device
        plain = plain_logits(network, self.distilled, samples, device=device, batch_size=self.batch_size)
        add_observations(
            estimator,
            network,
            self.distilled,
            samples,
            fit_on=self.fit_on,
            plain=plain,
            views=self.views,
            num_views=self.num_fit_views,
            batch_size=self.batch_size,
        )
        return plain

    def _quality(self, trainer: Trainer, plain: Tensor, samples: Tensor, fit: TauFit) -> LabelQuality:
        """Over the shares of all ranks; without the target prior, under which classes are not meant to be level."""
        sums = label_sums(calibrate(plain, self.class_prior, fit.tau), self.distilled.intended_class[samples])
        if trainer.world_size > 1:
            sums = trainer.strategy.reduce(sums.to(trainer.strategy.root_device), reduce_op="sum")
        return label_quality(sums)

    def _raise_or_warn(self, found: list[str], trainer: Trainer) -> None:
        if found and self.on_degenerate == "raise":
            raise RuntimeError(
                f"{' '.join(found)} Nothing was written. Set `on_degenerate='warn'` to have the labels anyway."
            )
        if trainer.is_global_zero:
            for alarm in found:
                warnings.warn(alarm, stacklevel=2)

    def _write(
        self, trainer: Trainer, network: TrainedNetwork, fit: TauFit, quality: LabelQuality, found: list[str]
    ) -> None:
        calibration = self._calibration(trainer, network, fit) if trainer.is_global_zero else {}
        _on_all_ranks(trainer, partial(self._prepare, calibration) if trainer.is_global_zero else lambda: None)
        _on_all_ranks(trainer, partial(self._label, trainer, network, fit))
        if trainer.is_global_zero:
            finish = partial(self._finish, trainer, fit, quality, found, calibration)
            _on_all_ranks(trainer, finish)
        else:
            _on_all_ranks(trainer, lambda: None)

    def _calibration(self, trainer: Trainer, network: TrainedNetwork, fit: TauFit) -> dict[str, Any]:
        """What makes labels those of this model and this tau."""
        target = None if self.target_prior is None else (self.target_prior / self.target_prior.sum()).tolist()
        return {
            "method": "adsa",
            "tau": fit.tau,
            "class_prior": fit.class_prior.tolist(),
            "target_prior": target,
            "model_sha256": weights_sha256(network.module),
            "precision": str(trainer.precision),
        }

    def _prepare(self, calibration: Mapping[str, Any]) -> None:
        self.folder.prepare(
            self.distilled, views=self.views, num_views=self.num_views, calibration=calibration, top_k=self.top_k
        )

    def _label(self, trainer: Trainer, network: TrainedNetwork, fit: TauFit) -> None:
        write_soft_labels(
            network,
            Views(self.distilled, self.views, device=trainer.strategy.root_device),
            SoftLabels.open(self.folder.folder / LABELS, distilled=self.distilled),
            adjust=partial(calibrate, class_prior=self.class_prior, tau=fit.tau, target_prior=self.target_prior),
            batch_size=self.batch_size,
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
            on_view=_Lines(self.num_views),
        )

    def _finish(
        self, trainer: Trainer, fit: TauFit, quality: LabelQuality, found: list[str], calibration: Mapping[str, Any]
    ) -> None:
        figures = figures_of(fit, self.distilled, class_prior=self.class_prior)
        files = save_figures(figures, self.folder.folder)
        self.folder.finish(
            {
                **fit.to_dict(),
                "alarms": found,
                "class_names": list(self.distilled.class_names),
                "recognised": quality.recognised.tolist(),
                "entropy": quality.entropy.tolist(),
                "prior_source": self.prior_source,
                "target_prior": calibration["target_prior"],
                "fit_on": self.fit_on,
                "num_fit_views": 1 if self.fit_on == "plain" else self.num_fit_views,
                "shrink_to": self.shrink_to,
                "views": self.views.to_dict(),
                "num_views": self.num_views,
                "top_k": self.top_k,
                "precision": calibration["precision"],
                "distilled_sha256": self.distilled.sha256,
                "model_sha256": calibration["model_sha256"],
            }
        )
        log_report(trainer, metrics_of(fit, num_alarms=len(found)), figures, files)
        rank_zero_info(f"ADSA: tau = {fit.tau:.3f}, {self.num_views} views labelled, see {str(self.folder.folder)!r}")


def _on_all_ranks(trainer: Trainer, work: Callable[[], Result]) -> Result:
    """Do ``work``; if it fails on any rank, raise on all of them, so that none waits in vain for another."""
    error: Exception | None = None
    result: Any = None
    try:
        result = work()
    except Exception as caught:
        error = caught
    all_are_well = trainer.strategy.reduce_boolean_decision(error is None)
    if error is not None:
        raise error
    if not all_are_well:
        raise RuntimeError("ADSACallback must succeed on all ranks; another rank failed, its own message says why.")
    return result


class _Lines:
    """Says how far this rank is, every ten seconds; shown on rank 0."""

    def __init__(self, num_views: int) -> None:
        self._num_views, self._last = num_views, time.monotonic()

    def __call__(self, view: int) -> None:
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            rank_zero_info(f"ADSA: view {view + 1} of {self._num_views} labelled")
