# Legend: B this rank's images, C classes.
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lt_callbacks.adsa import TauEstimator, TauFit, calibrate
from lt_callbacks.relabel.alarms import LabelQuality, alarms, label_quality, label_sums
from lt_callbacks.relabel.fit import add_observations, fit_of_images, plain_logits
from lt_callbacks.relabel.ranks import OneProcess, Ranks
from lt_callbacks.relabel.source import LogitSource
from lt_callbacks.relabel.task import RelabelTask

#: Labels are written with tau to so many decimals: a run that goes on after it was killed, on a device that adds in
#: another order, then finds the tau that its first labels were made with.
TAU_DECIMALS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """The fitted tau, and what labels that are calibrated with it look like; made before any label is written.

    Attributes:
        fit: The fit.
        label_fit: The same with the tau that labels are written with, which has six decimals.
        quality: Of the labels of the unvaried images with that tau.
        alarms: Reasons not to trust them, one sentence each.
    """

    fit: TauFit
    label_fit: TauFit
    quality: LabelQuality
    alarms: tuple[str, ...]


@torch.no_grad()
def find_calibration(task: RelabelTask, source: LogitSource, *, ranks: Ranks | None = None) -> Calibration:
    """Observe the logits of the images, fit tau to them, and look at what the calibrated labels are like.

    Args:
        task: The set and how tau is fitted.
        source: Gives the logits.
        ranks: Processes that share the images, all of which call this; None: this one alone.

    Raises:
        ValueError: A logit is not finite.
    """
    ranks = ranks or OneProcess()
    samples = torch.arange(ranks.rank, len(task.distilled), ranks.num_ranks)
    estimator = task.estimator(source.device)
    plain = ranks.together(partial(_observe, task, source, estimator, samples))
    fit = fit_of_images(estimator, task.distilled)
    label_fit = replace(fit, tau=round(fit.tau, TAU_DECIMALS))
    # Without the target prior, under which classes are not meant to be level.
    calibrated = calibrate(plain, task.class_prior, label_fit.tau)
    quality = label_quality(ranks.total(label_sums(calibrated, task.distilled.intended_class[samples])))
    found = alarms(label_fit, quality, class_names=task.distilled.class_names)
    return Calibration(fit=fit, label_fit=label_fit, quality=quality, alarms=tuple(found))


def _observe(task: RelabelTask, source: LogitSource, estimator: TauEstimator, samples: Tensor) -> Tensor:
    """(B, C) logits of the plain images; the estimator has then seen what tau is fitted on."""
    settings = task.settings
    plain = plain_logits(source, task.distilled, samples, batch_size=settings.batch_size)
    add_observations(
        estimator,
        source,
        task.distilled,
        samples,
        fit_on=settings.fit_on,
        plain=plain,
        views=settings.views,
        num_views=settings.num_fit_views,
        batch_size=settings.batch_size,
    )
    return plain
