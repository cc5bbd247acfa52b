# Legend: C classes, G nodes, T grid of tau.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.adsa.class_curves import ClassCurves, corrected_minimiser
from lt_callbacks.adsa.class_moments import NUM_IMAGES, Tilts
from lt_callbacks.adsa.inputs import centred_log_prior, check_refused, normalised_prior
from lt_callbacks.adsa.interval import MIN_IMAGES, interval_from_classes, interval_from_images
from lt_callbacks.adsa.nodes import Nodes, chebyshev_nodes

#: Distance of neighbouring values of tau in the curve that a fit returns.
_STEP = 0.01
#: A standard deviation over classes that varies by less along the grid says nothing about tau.
_FLAT = 1e-9
#: Distance from an end of the grid at which the minimum counts as lying there.
_EDGE = 1e-6
#: Greatest tau, of either sign, that is looked at; a strength of 1 is that of a Bayes classifier.
_FARTHEST = 100.0
#: Standard errors in half a 95 % interval.
_NORMAL_QUANTILE = 1.96


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """Where tau is looked for and what it is shrunk to; checked on construction.

    The fields are those arguments of :func:`lt_callbacks.adsa.fit_tau`.
    """

    shrink_to: float | None = None
    shrink_sd: float = 0.5
    lowest: float = -1.0
    highest: float = 4.0

    def __post_init__(self) -> None:
        hint = "tau is looked for between `lowest` and `highest`."
        real("lowest", self.lowest, at_least=-_FARTHEST, at_most=_FARTHEST, hint=hint)
        real("highest", self.highest, above=self.lowest, at_most=_FARTHEST, hint=hint)
        if self.highest - self.lowest < _EDGE:
            rule = f"lie {_EDGE:g} above `lowest` at least"
            raise ArgumentValueError("highest", rule=rule, got=repr(self.highest), way_out=hint)
        real("shrink_sd", self.shrink_sd, above=0.0, hint="It is the standard deviation of tau around `shrink_to`.")
        if self.shrink_to is not None:
            hint = "Widen `lowest` to `highest`."
            real("shrink_to", self.shrink_to, at_least=self.lowest, at_most=self.highest, hint=hint)

    def grid(self) -> Tensor:
        """(T,) float64 values of tau, both ends included, steps of about 0.01."""
        num_steps = max(10, round((self.highest - self.lowest) / _STEP))
        return torch.linspace(self.lowest, self.highest, num_steps + 1, dtype=torch.float64)

    @property
    def node_ends(self) -> tuple[float, float]:
        """The interval that curves must be known on: that of the grid, and 0, the labels as they are."""
        return min(float(self.lowest), 0.0), max(float(self.highest), 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class TauFit:
    """The strength of the logit adjustment that evens out the classes' confidence, and how well it is known.

    Tensors are float64 (counts int64) and on the CPU.

    Attributes:
        tau: The strength to use: ``unshrunk_tau``, or after shrinkage where that was asked for.
        interval: About 95 % confidence interval of ``unshrunk_tau``, cut at the ends of the grid; ``None`` where
            nothing can be said.
        identified: Whether the images determine tau: an interval from images that ends inside the grid, or with fewer
            images an interval from classes that does, and every class with two images at least.
        reason: Why not, in one sentence; ``None`` where identified.
        taus: (T,) uniform grid, both ends included.
        spread: (T,) population standard deviation over classes of the mean confidence.
        class_confidence: (C,) mean probability of the intended class at ``tau``.
        class_confidence_before: (C,) that mean at tau 0, the labels as they are.
        class_prior: (C,) as used, sum 1.
        num_images: (C,) int64, images of positive weight by intended class.
        unshrunk_tau: The minimiser of ``spread``.
        corrected_tau: The minimiser of the spread less what the noise of the means adds to it, an estimate without the
            bias that ``unshrunk_tau`` has where many classes have few images each; for comparison, nothing else uses
            it. ``None`` where a class has one image.
        interval_from: ``"images"``: the interval inverts a score test over the images within classes.
            ``"classes"``: too few images for that; jackknife over classes. ``None``: no interval.
        is_at_edge: The minimum lies at an end of the grid, so that the true one may lie outside.
    """

    tau: float
    interval: tuple[float, float] | None
    identified: bool
    reason: str | None
    taus: Tensor
    spread: Tensor
    class_confidence: Tensor
    class_confidence_before: Tensor
    class_prior: Tensor
    num_images: Tensor
    unshrunk_tau: float
    corrected_tau: float | None
    interval_from: str | None
    is_at_edge: bool

    def to_dict(self) -> dict[str, Any]:
        """All fields of the fit as JSON values, tensors as lists."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["interval"] = None if self.interval is None else list(self.interval)
        return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in values.items()}


class TauProblem:
    """A class prior and where to look for tau: all that is known before the first image.

    Args:
        class_prior: (C,) counts or frequencies.
        settings: Ends of the grid, shrinkage.

    Raises:
        TypeError, ValueError: The prior is not finite and > 0, or too uneven for the grid.
    """

    def __init__(self, class_prior: Any, settings: FitSettings) -> None:
        self.class_prior = normalised_prior(class_prior)
        self.settings = settings
        log_prior = centred_log_prior(self.class_prior)
        lowest, highest = settings.node_ends
        self.nodes = chebyshev_nodes(lowest, highest, log_prior_range=float(log_prior.max() - log_prior.min()))
        self._tilts = {torch.device("cpu"): Tilts.build(log_prior, self.nodes)}

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_prior)

    def tilts(self, device: torch.device) -> Tilts:
        """The factors for logits on ``device``; copied there once."""
        if device not in self._tilts:
            self._tilts[device] = self._tilts[torch.device("cpu")].to(device)
        return self._tilts[device]

    def fit(self, curves: Tensor, totals: Tensor, refused: Tensor) -> TauFit:
        """The fit to sums of :func:`lt_callbacks.adsa.class_moments.class_moments`; reads them from their device.

        Raises:
            ValueError: Images were refused, or a class has none.
        """
        curves, totals, refused = (sums.to("cpu").double() for sums in (curves, totals, refused))
        return _fit(curves, totals, refused, class_prior=self.class_prior, nodes=self.nodes, settings=self.settings)


class _Minimum(NamedTuple):
    """Where the spread is smallest, and how well that is known; for the fields see :class:`TauFit`."""

    tau: float
    corrected_tau: float | None = None
    interval: tuple[float, float] | None = None
    interval_from: str | None = None
    is_at_edge: bool = False
    reason: str | None = None


def _fit(
    curves: Tensor, totals: Tensor, refused: Tensor, *, class_prior: Tensor, nodes: Nodes, settings: FitSettings
) -> TauFit:
    """The fit to sums of :func:`lt_callbacks.adsa.class_moments.class_moments` that are float64 on the CPU.

    Raises:
        ValueError: Images were refused, or a class has none.
    """
    check_refused(refused, num_classes=len(class_prior))
    _check_every_class(totals)
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
    own_sd = (minimum.interval[1] - minimum.interval[0]) / 2 / _NORMAL_QUANTILE
    # A product of large numbers is infinite, where their power is an error.
    ratio = own_sd / settings.shrink_sd
    share = 1 / (1 + ratio * ratio)
    return share * minimum.tau + (1 - share) * settings.shrink_to


def _check_every_class(totals: Tensor) -> None:
    empty = (totals[:, NUM_IMAGES] == 0).nonzero()[:, 0].tolist()
    if empty:
        raise ArgumentValueError(
            "intended_class",
            rule="name every class",
            got=f"no image of positive weight for {_named(empty)} of {len(totals)} classes",
            way_out="tau compares the mean confidence of all classes.",
        )


def _named(classes: list[int]) -> str:
    """How many, and the first ten: ``2 (3, 7)``."""
    return f"{len(classes)} ({', '.join(str(number) for number in classes[:10])}{', ...' if len(classes) > 10 else ''})"
