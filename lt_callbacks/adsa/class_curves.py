# Legend: C classes, G nodes, T other values of tau.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks.adsa.class_moments import NUM_IMAGES, SQUARED_WEIGHT, WEIGHT
from lt_callbacks.adsa.nodes import Nodes

#: Parts that an interval is cut into to find a root, and the width at which that ends.
_NUM_PARTS = 64
_PRECISION = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCurves:
    """Mean confidence of every class as a function of tau, and how uncertain it is.

    Attributes:
        nodes: Where the curves are known.
        num_images: (C,) int64, images of positive weight.
        mean: (C, G) m_c, the weighted mean probability of the intended class.
        slope: (C, G) derivative of m_c in tau.
        var_mean: (C, G) variance of m_c over draws of the class's images; 0 for a class of one image, which has none.
        covariance: (C, G) covariance of m_c and its derivative.
        var_slope: (C, G) variance of the derivative of m_c.
    """

    nodes: Nodes
    num_images: Tensor
    mean: Tensor
    slope: Tensor
    var_mean: Tensor
    covariance: Tensor
    var_slope: Tensor

    @classmethod
    def from_moments(cls, curves: Tensor, totals: Tensor, *, nodes: Nodes) -> ClassCurves:
        """Curves from the sums of :func:`lt_callbacks.adsa.class_moments.class_moments`; every class has an image."""
        wp, w2p, w2pp, w2ps, w2ss = curves.unbind(dim=1)
        count, weight, w2 = (totals[:, [column]] for column in (NUM_IMAGES, WEIGHT, SQUARED_WEIGHT))
        mean = wp / weight
        slope, w2s = mean @ nodes.derivative, w2p @ nodes.derivative
        # Influence of an image on the mean: w (p - m) / sum of w. With n / (n - 1), as for any variance of a mean.
        scale = count / (count - 1).clamp_min(1) / weight**2
        return cls(
            nodes=nodes,
            num_images=totals[:, NUM_IMAGES].long(),
            mean=mean,
            slope=slope,
            var_mean=scale * (w2pp - 2 * mean * w2p + mean**2 * w2),
            covariance=scale * (w2ps - mean * w2s - slope * w2p + mean * slope * w2),
            var_slope=scale * (w2ss - 2 * slope * w2s + slope**2 * w2),
        )

    def mean_at(self, taus: Tensor) -> Tensor:
        """(C, T) mean confidence m_c of each class at ``taus`` (T,)."""
        return self.mean @ self.nodes.at(taus)

    def confidence(self, tau: float) -> Tensor:
        """(C,) mean confidence m_c of each class at one tau, inside [0, 1] as a probability is."""
        return self.mean_at(torch.tensor([tau], dtype=torch.float64))[:, 0].clamp(0, 1)

    def spread(self, taus: Tensor) -> Tensor:
        """(T,) population standard deviation over classes of the mean confidence m_c (ADSA, section 4)."""
        return self.mean_at(taus).std(dim=0, correction=0)

    def spread_slope(self, taus: Tensor) -> Tensor:
        """(T,) derivative in tau of the population variance over classes of the mean confidence m_c."""
        at = self.nodes.at(taus)
        mean, slope = self.mean @ at, self.slope @ at
        return 2 * ((mean - mean.mean(dim=0)) * slope).mean(dim=0)

    def minimiser(self, grid: Tensor) -> float:
        """The tau at which classes differ least: the best of ``grid`` (T,), then the root of the slope beside it."""
        best = int(self.spread(grid).argmin())
        left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
        return rising_root(self.spread_slope, left, right)


def corrected_minimiser(curves: ClassCurves, grid: Tensor, *, tau: float) -> float:
    """The tau that minimises the unbiased estimate of Var_c(m_c), downhill from ``tau``; else an end of ``grid``.

    The noise of m_c adds to its variance over classes, by an amount that changes with tau. That moves the minimiser of
    the raw spread, alike in every draw of the images; with many classes of few images by more than its noise.
    """

    def score(taus: Tensor) -> Tensor:
        return corrected_score(curves, taus)[0]

    if float(score(grid.new_tensor([tau]))) >= 0:
        ahead = torch.cat([grid.new_tensor([tau]), grid[grid < tau].flip(0)])
        crossed = (score(ahead) < 0).nonzero()[:, 0]
    else:
        ahead = torch.cat([grid.new_tensor([tau]), grid[grid > tau]])
        crossed = (score(ahead) >= 0).nonzero()[:, 0]
    if len(crossed) == 0:
        return float(ahead[-1])
    ends = float(ahead[crossed[0] - 1]), float(ahead[crossed[0]])
    return rising_root(score, min(ends), max(ends))


def corrected_score(curves: ClassCurves, taus: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(T,) derivative in tau of the unbiased estimate of Var_c(m_c), its standard deviation and the degrees of freedom.

    The latter are Welch and Satterthwaite's: where a class of few images brings most of the variance, that is known no
    better than the class is.
    """
    at = curves.nodes.at(taus)
    mean, slope = curves.mean @ at, curves.slope @ at
    var_mean, covariance, var_slope = curves.var_mean @ at, curves.covariance @ at, curves.var_slope @ at
    num_classes = len(mean)
    u, v = slope - slope.mean(dim=0), mean - mean.mean(dim=0)
    # The noise of the means has a covariance of its own in F; less that, F is the one of infinitely many images.
    bias = 2 / num_classes * (1 - 1 / num_classes) * covariance.sum(dim=0)
    score = 2 / num_classes * (u * v).sum(dim=0) - bias
    # Influence of an image of class c: 2 / C * w / W_c * [(p - m_c) u_c + (p' - m'_c) v_c].
    parts = (2 / num_classes) ** 2 * (u**2 * var_mean + 2 * u * v * covariance + v**2 * var_slope).clamp_min(0)
    variance, degrees = parts.sum(dim=0), (curves.num_images - 1).clamp_min(1)[:, None]
    # Without any variance the number does not matter.
    welch = variance.square() / (parts.square() / degrees).sum(dim=0)
    return score, variance.sqrt(), torch.where(variance > 0, welch, 1.0)


def rising_root(function: Callable[[Tensor], Tensor], left: float, right: float) -> float:
    """Where ``function`` first rises through zero between ``left`` and ``right``, by ever finer grids.

    Args:
        function: (T,) float64 -> (T,) float64.
        left: Returned where the function is positive there already.
        right: Returned where the function is negative all along.
    """
    while right - left > _PRECISION:
        points = torch.linspace(left, right, _NUM_PARTS + 1, dtype=torch.float64)
        is_above = function(points) >= 0
        if bool(is_above[0]):
            return left
        if not bool(is_above.any()):
            return right
        first = int(is_above.nonzero()[0])
        left, right = float(points[first - 1]), float(points[first])
    return (left + right) / 2
