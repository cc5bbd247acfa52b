# Legend: B batch, N distilled images, C classes, V views, R ranks.
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lt_callbacks.adsa import TauEstimator, TauFit
from lt_callbacks.distilled_set import PLAIN_VIEW, DistilledSet, Views, ViewSettings
from lt_callbacks.relabel.source import LogitSource

#: What tau can be fitted on.
FITTED_ON = ("plain", "crops", "mixed", "strong")


def plain_logits(source: LogitSource, distilled: DistilledSet, samples: Tensor, *, batch_size: int) -> Tensor:
    """(B, C) float32 logits of the images as they are, on the source's device.

    Args:
        source: Gives the logits.
        distilled: The set.
        samples: (B,) int64 positions in it, such as this rank's share.
        batch_size: Images in a forward pass.
    """
    device = source.device
    logits = source.of(Views(distilled, PLAIN_VIEW, device=device))
    # Moved once: a copy from the host in every batch would make it wait for the device.
    batches = [logits(part, 0) for part in _batches(samples.to(device), batch_size)]
    return torch.cat(batches) if batches else torch.zeros(0, distilled.num_classes, device=device)


def add_observations(
    estimator: TauEstimator,
    source: LogitSource,
    distilled: DistilledSet,
    samples: Tensor,
    *,
    fit_on: str,
    plain: Tensor,
    views: ViewSettings,
    num_views: int,
    batch_size: int,
) -> None:
    """Update the estimator with the logits of the images or of their views.

    Args:
        estimator: On the device of ``plain``.
        source: Gives the logits.
        distilled: The set.
        samples: (B,) int64 positions in it.
        fit_on: ``"plain"``: the images as they are. ``"crops"``: V unmixed views, together one observation of an image.
            ``"mixed"``: V views as they are; each adds to its own class with the weight of its share and to that of
            its partner with the rest. ``"strong"``: the same with `strong_views`.
        plain: (B, C) from `plain_logits`.
        views: How images are varied.
        num_views: V.
        batch_size: Images in a forward pass.
    """
    device = plain.device
    intended = distilled.intended_class.to(device)
    if fit_on == "plain":
        if len(samples):
            estimator.update(plain, intended[samples.to(device)])
        return
    if fit_on == "strong":
        views = strong_views(views)
    # Unmixed views have no partner: what is mixed from one image is that image.
    is_mixed = fit_on in ("mixed", "strong") and views.mix != "none"
    seen = Views(distilled, views if is_mixed else replace(views, mix="none"), device=device)
    logits_of = source.of(seen)
    for part in _batches(samples.to(device), batch_size):
        if not is_mixed:
            logits = torch.stack([logits_of(part, view) for view in range(num_views)])
            estimator.update(logits, intended[part])
            continue
        for view in range(num_views):
            logits, mixing = logits_of(part, view), seen.mixing(part, view)
            estimator.update(logits, intended[part], weight=mixing.share)
            estimator.update(logits, intended[mixing.partner], weight=1 - mixing.share)


def fit_of_images(estimator: TauEstimator, distilled: DistilledSet) -> TauFit:
    """The fit of an estimator that may have seen several views of an image.

    A mixed view is an observation of its own there. A class with one image stays a class with one image, whose noise
    cannot be told, however many views of it were shown.
    """
    fit = estimator.compute()
    single = (distilled.class_counts == 1).nonzero()[:, 0].tolist()
    if fit.identified and single:
        reason = f"{len(single)} of {distilled.num_classes} classes have a single image, whose noise cannot be told"
        fit = replace(fit, identified=False, reason=reason)
    return fit


def strong_views(views: ViewSettings) -> ViewSettings:
    """Views that no network is sure of: a part of the image, of 0.08 to 1 of its area, under CutMix.

    Images that were optimised through the network, or that it was trained on, get probabilities near 1 in every class
    unless they are seen like this, and then say nothing about the bias. Seed and mirroring stay as they are.
    """
    return replace(views, crop="resized", crop_area=(0.08, 1.0), mix="cutmix", mix_alpha=1.0)


def _batches(samples: Tensor, batch_size: int) -> Iterator[Tensor]:
    # split() of nothing gives one empty batch, which not every network takes.
    yield from samples.split(batch_size) if len(samples) else ()
