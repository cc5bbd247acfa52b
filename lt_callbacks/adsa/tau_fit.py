# Legend: C classes, T grid of tau.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


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
        class_confidence_before: (C,) the same at 0, the labels as they are.
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
        """The fields as JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["interval"] = None if self.interval is None else list(self.interval)
        return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in values.items()}
