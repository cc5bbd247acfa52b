# Legend: C classes, T values of tau.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks.adsa.class_curves import ClassCurves
from lt_callbacks.adsa.rising_root import rising_root


def corrected_minimiser(curves: ClassCurves, grid: Tensor, *, tau: float) -> float:
    """The minimum of the unbiased estimate of Var_c(m_c) downhill from ``tau``; an end of ``grid`` if there is none.

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
