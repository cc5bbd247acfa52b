# Legend: G nodes, T other values of tau.
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError

#: More are refused: they mean a prior or an interval far outside what a data set has. The bound also keeps
#: (highest - lowest) * (largest - smallest log prior) below 300, so that exponentials fit a float64.
MAX_NODES = 500
_MIN_NODES = 24
#: Natural logarithm of the factor by which the nodes lower the bound on the interpolation error.
_LOG_PRECISION = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Nodes:
    """Values of tau at which curves are known, and the polynomial through them.

    The mean probability of a class is analytic in tau: softmax(z - tau * a) has its poles where terms of opposite phase
    cancel, no closer to the real line than pi / (max a - min a). Its Chebyshev interpolant therefore converges
    geometrically, and a few dozen nodes hold the whole curve with its derivative.

    Attributes:
        taus: (G,) float64, ascending Chebyshev points of the second kind, both ends included.
        derivative: (G, G) float64: values at the nodes (..., G) ``@ derivative`` is the derivative of the interpolant
            at the nodes.

    Reference: Berrut and Trefethen, Barycentric Lagrange Interpolation, SIAM Review 46 (2004), sections 4 and 9.
    """

    taus: Tensor
    derivative: Tensor

    def at(self, taus: Tensor) -> Tensor:
        """(G, T) float64: values at the nodes (..., G) ``@`` it is the interpolant at ``taus`` (T,)."""
        difference = taus[None, :] - self.taus[:, None]
        is_node = difference == 0
        terms = _barycentric_weights(len(self.taus))[:, None] / difference.masked_fill(is_node, 1.0)
        terms = torch.where(is_node.any(dim=0), is_node.to(terms), terms)
        return terms / terms.sum(dim=0)


def chebyshev_nodes(lowest: float, highest: float, *, log_prior_range: float) -> Nodes:
    """Chebyshev nodes on [lowest, highest], as many as the range of the log prior takes.

    With the nearest pole at imaginary distance pi / range, each node lowers the interpolation error by a factor
    exp(-asinh(pi / (range * half the length of the interval))) (Trefethen, Approximation Theory and Approximation
    Practice, theorem 8.2). The number of nodes lowers the bound by exp(-14).

    Args:
        lowest: Smallest tau, a node.
        highest: Largest tau, a node.
        log_prior_range: Largest minus smallest log prior, >= 0.

    Raises:
        ValueError: That takes more than ``MAX_NODES`` nodes.
    """
    half = (highest - lowest) / 2
    num_nodes = _MIN_NODES
    if log_prior_range > 0:
        rate = math.asinh(math.pi / (log_prior_range * half))
        num_nodes = max(num_nodes, math.ceil(_LOG_PRECISION / rate) + 4)
    if num_nodes > MAX_NODES:
        raise ArgumentValueError(
            "class_prior",
            rule=f"not be so uneven for tau in [{lowest:g}, {highest:g}]",
            got=f"a largest entry exp({log_prior_range:.1f}) times the smallest",
            way_out="Narrow `lowest` to `highest`, or check the prior.",
        )
    # Sines of symmetric angles are exactly symmetric.
    angles = math.pi / 2 * (2 * torch.arange(num_nodes, dtype=torch.float64) - (num_nodes - 1)) / (num_nodes - 1)
    taus = (lowest + highest) / 2 + half * angles.sin()
    taus[0], taus[-1] = lowest, highest
    return Nodes(taus=taus, derivative=_derivative(taus))


def _derivative(taus: Tensor) -> Tensor:
    weights = _barycentric_weights(len(taus))
    # Entry (k, j): what the value at node k adds to the derivative at node j.
    difference = (taus[None, :] - taus[:, None]).fill_diagonal_(1.0)
    matrix = (weights[:, None] / weights[None, :] / difference).fill_diagonal_(0.0)
    # The derivative of a constant is exactly zero.
    return matrix - torch.diag(matrix.sum(dim=0))


def _barycentric_weights(num_nodes: int) -> Tensor:
    weights = torch.ones(num_nodes, dtype=torch.float64)
    weights[1::2] = -1.0
    weights[0] *= 0.5
    weights[-1] *= 0.5
    return weights
