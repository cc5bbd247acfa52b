# Legend: C classes, G nodes, T other values of tau.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks.adsa.moments import NUM_IMAGES, SQUARED_WEIGHT, WEIGHT
from lt_callbacks.adsa.nodes import Nodes
from lt_callbacks.adsa.rising_root import rising_root


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCurves:
    """Mean confidence of every class as a function of tau, and how uncertain it is.

    Attributes:
        nodes: Where the curves are known.
        num_images: (C,) int64, images of positive weight.
        mean: (C, G) m_c, the weighted mean probability of the intended class.
        slope: (C, G) its derivative in tau.
        var_mean: (C, G) variance of m_c over draws of the class's images; 0 for a class of one image, which has none.
        covariance: (C, G) of m_c and its derivative.
        var_slope: (C, G) variance of the derivative.
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
        """From the sums of :func:`lt_callbacks.adsa.moments.class_moments`; every class has an image."""
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
        """(C, T) m_c."""
        return self.mean @ self.nodes.at(taus)

    def confidence(self, tau: float) -> Tensor:
        """(C,) m_c at one tau, inside [0, 1] as a probability is."""
        return self.mean_at(torch.tensor([tau], dtype=torch.float64))[:, 0].clamp(0, 1)

    def spread(self, taus: Tensor) -> Tensor:
        """(T,) population standard deviation of m_c over classes (ADSA, section 4)."""
        return self.mean_at(taus).std(dim=0, correction=0)

    def spread_slope(self, taus: Tensor) -> Tensor:
        """(T,) derivative in tau of the population variance of m_c over classes."""
        at = self.nodes.at(taus)
        mean, slope = self.mean @ at, self.slope @ at
        return 2 * ((mean - mean.mean(dim=0)) * slope).mean(dim=0)

    def minimiser(self, grid: Tensor) -> float:
        """The tau at which classes differ least: the best of ``grid`` (T,), then the root of the slope beside it."""
        best = int(self.spread(grid).argmin())
        left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
        return rising_root(self.spread_slope, left, right)
