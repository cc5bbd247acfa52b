# Legend: C classes, G nodes, T grid of tau.
from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from lt_callbacks.adsa.class_curves import ClassCurves
from lt_callbacks.adsa.corrected_spread import corrected_minimiser
from lt_callbacks.adsa.fit_settings import FitSettings
from lt_callbacks.adsa.interval import MIN_IMAGES, interval_from_classes, interval_from_images
from lt_callbacks.adsa.moments import BAD_WEIGHT, NO_CLASS, NONFINITE, NUM_IMAGES
from lt_callbacks.adsa.nodes import Nodes
from lt_callbacks.adsa.tau_fit import TauFit

#: A standard deviation over classes that varies by less along the grid says nothing about tau.
_FLAT = 1e-9
#: Distance from an end of the grid at which the minimum counts as lying there.
_EDGE = 1e-6
#: Standard errors in half a 95 % interval.
_NORMAL_QUANTILE = 1.96


class _Minimum(NamedTuple):
    tau: float
    corrected_tau: float | None = None
    interval: tuple[float, float] | None = None
    interval_from: str | None = None
    is_at_edge: bool = False
    reason: str | None = None


def solve(
    curves: Tensor, totals: Tensor, refused: Tensor, *, class_prior: Tensor, nodes: Nodes, settings: FitSettings
) -> TauFit:
    """What the sums of :func:`lt_callbacks.adsa.moments.class_moments`, float64 on the CPU, say about tau.

    Raises:
        ValueError: Images were refused, or a class has none.
    """
    _refuse(totals, refused)
    found = ClassCurves.from_moments(curves, totals, nodes=nodes)
    grid = settings.grid()
    spread = found.spread(grid)
    if bool((class_prior == class_prior[0]).all()):
        minimum = _Minimum(0.0, reason="the class prior is uniform: nothing to adjust, the labels stay as they are")
        tau = 0.0
    elif float(spread.max() - spread.min()) < _FLAT:
        minimum = _Minimum(0.0, reason="the curve is flat: tau does not change how evenly confident the classes are")
        tau = _shrunk(minimum, settings)
    else:
        minimum = _minimum(found, grid, settings)
        tau = _shrunk(minimum, settings)
    return TauFit(
        tau=tau,
        interval=minimum.interval,
        identified=minimum.reason is None,
        reason=minimum.reason,
        taus=grid,
        spread=spread,
        class_confidence=found.confidence(tau),
        class_confidence_before=found.confidence(0.0),
        class_prior=class_prior,
        num_images=found.num_images,
        unshrunk_tau=minimum.tau,
        corrected_tau=minimum.corrected_tau,
        interval_from=minimum.interval_from,
        is_at_edge=minimum.is_at_edge,
    )


def _minimum(found: ClassCurves, grid: Tensor, settings: FitSettings) -> _Minimum:
    """The minimum of the spread, its interval, and what speaks against it."""
    tau = found.minimiser(grid)
    fewest = int(found.num_images.min())
    corrected = corrected_minimiser(found, grid, tau=tau) if fewest > 1 else None
    if corrected is not None and fewest >= MIN_IMAGES:
        interval: tuple[float, float] | None = interval_from_images(found, grid, tau=tau, corrected_tau=corrected)
        source: str | None = "images"
    else:
        interval = interval_from_classes(found, grid, tau=tau)
        source = None if interval is None else "classes"
    is_at_edge = min(tau - settings.lowest, settings.highest - tau) < _EDGE
    ends = f"[{settings.lowest:g}, {settings.highest:g}]"
    single = (found.num_images == 1).nonzero()[:, 0].tolist()
    reason = None
    if is_at_edge:
        reason = f"the classes differ least at an end of {ends}: the minimum may lie outside"
    elif single:
        reason = f"{_named(single)} of {len(found.mean)} classes have a single image, whose noise cannot be told"
    elif interval is None:
        reason = f"fewer than {MIN_IMAGES} images in a class, and too few classes for an interval without them"
    elif interval[0] <= settings.lowest or interval[1] >= settings.highest:
        reason = f"the curve is too flat: the interval reaches an end of {ends}"
    return _Minimum(tau, corrected, interval, source, is_at_edge, reason)


def _shrunk(minimum: _Minimum, settings: FitSettings) -> float:
    """Mean of the estimate and ``shrink_to``, by precision, of which an estimate that says nothing has none."""
    if settings.shrink_to is None:
        return minimum.tau
    if minimum.reason is not None or minimum.interval is None:
        return float(settings.shrink_to)
    variance = ((minimum.interval[1] - minimum.interval[0]) / 2 / _NORMAL_QUANTILE) ** 2
    share = settings.shrink_sd**2 / (settings.shrink_sd**2 + variance)
    return share * minimum.tau + (1 - share) * settings.shrink_to


def _refuse(totals: Tensor, refused: Tensor) -> None:
    num_classes = len(totals)
    num_nonfinite, num_without_class, num_bad_weights = (int(refused[why]) for why in (NONFINITE, NO_CLASS, BAD_WEIGHT))
    if num_nonfinite:
        raise ValueError(
            f"`logits` must be finite; got NaN or an infinity for {num_nonfinite} images. "
            "Find what overflows in their forward pass, or run it in float32."
        )
    if num_without_class:
        raise ValueError(
            f"`intended_class` must lie in 0..{num_classes - 1}; got another value for {num_without_class} images. "
            "It numbers the classes as the columns of `logits` do."
        )
    if num_bad_weights:
        raise ValueError(
            f"`weight` must be finite and >= 0; got another value for {num_bad_weights} images. "
            "Leave it out to weight all alike."
        )
    empty = (totals[:, NUM_IMAGES] == 0).nonzero()[:, 0].tolist()
    if empty:
        raise ValueError(
            f"`intended_class` must name every class; got no image of positive weight for {_named(empty)} of "
            f"{num_classes} classes. tau compares the mean confidence of all classes."
        )


def _named(classes: list[int]) -> str:
    """How many, and the first ten: ``2 (3, 7)``."""
    return f"{len(classes)} ({', '.join(str(number) for number in classes[:10])}{', ...' if len(classes) > 10 else ''})"
