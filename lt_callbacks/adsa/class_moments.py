# Legend: V views, B batch, C classes, G nodes.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lt_callbacks.adsa.inputs import unusable
from lt_callbacks.adsa.nodes import Nodes

#: Entries of the largest temporary: 2 MiB of float64 stay in a processor's cache, a GPU wants 64 MiB at a time.
_CHUNK_ENTRIES = {"cpu": 2**18}
_CHUNK_ENTRIES_ELSEWHERE = 2**23

#: Columns of the class totals.
NUM_IMAGES, WEIGHT, SQUARED_WEIGHT = range(3)
#: Curves of a class, sums over its images of w p, w^2 p, w^2 p p, w^2 p p', w^2 p' p'.
NUM_CURVES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Tilts:
    """Factors that move the probabilities of a batch of logits to every node of tau, on one device.

    Attributes:
        to_middle: (C,) -middle * a, added to the logits: the exponents then have half the range to go.
        factors: (G, C) exp(-(tau_g - middle) * a_c).
        derivative: (G, G) matrix that differentiates in tau, as in :class:`Nodes`.
    """

    to_middle: Tensor
    factors: Tensor
    derivative: Tensor

    @classmethod
    def build(cls, log_prior: Tensor, nodes: Nodes) -> Tilts:
        """The factors for a centred log prior (C,) at ``nodes``; float64, on the CPU."""
        middle = (nodes.taus[0] + nodes.taus[-1]) / 2
        factors = torch.exp(-torch.outer(nodes.taus - middle, log_prior))
        return cls(to_middle=-middle * log_prior, factors=factors, derivative=nodes.derivative)

    def to(self, device: torch.device) -> Tilts:
        """The same factors on ``device``, in the widest dtype that it has."""
        return Tilts(**{name: to_widest(getattr(self, name), device) for name in self.__dataclass_fields__})


def to_widest(values: Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device`` as float64, or as float32 where the device has nothing wider."""
    return values.float().to(device) if device.type == "mps" else values.to(device).double()


@torch.no_grad()
def class_moments(
    logits: Tensor, intended_class: Tensor, weight: Tensor | None, *, tilts: Tilts
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over a batch, by intended class, that tau and its interval follow from. Nothing is read on the host.

    p(tau) = softmax(z - tau * a)[intended], mean over an image's views, and p' its derivative in tau. All nodes share
    one exponential a logit: sum_c exp(z_c - tau_g * a_c) is a matrix product of exp(z) with exp(-tau_g * a_c). What
    underflows in exp(z - max z) is wrong by exp(-700 + range of tau * range of a) at most, and the limit on the number
    of nodes keeps that product below 300.

    Args:
        logits: (V, B, C) float.
        intended_class: (B,) int64.
        weight: (B,) float, or None for ones.
        tilts: On the device of ``logits``.

    Returns:
        ``curves`` (C, 5, G), ``totals`` (C, 3) and ``refused`` (3,), dtype and device of ``tilts``. An image with a
        logit that is not finite, an intended class outside 0..C-1 or a weight that is out of range counts in
        ``refused`` and nowhere else.

    Cost: V * B * C exponentials and V * B * C * G multiplications. Peak memory beside the input: a few chunks of 2 MiB,
    or of 64 MiB on a GPU.
    """
    num_views, num_images, num_classes = logits.shape
    num_nodes = len(tilts.factors)
    curves = tilts.factors.new_zeros(num_classes, NUM_CURVES, num_nodes)
    totals, refused = curves.new_zeros(num_classes, 3), curves.new_zeros(3)
    entries = _CHUNK_ENTRIES.get(logits.device.type, _CHUNK_ENTRIES_ELSEWHERE)
    rows = max(1, entries // max(num_views * max(num_classes, num_nodes), NUM_CURVES * num_nodes))
    for start in range(0, num_images, rows):
        part = slice(start, start + rows)
        own = intended_class[part]
        w = curves.new_ones(len(own)) if weight is None else weight[part].to(curves)
        left_out = unusable(logits[:, part], own, w)
        refused += left_out.sum(dim=1)
        is_used = ~left_out.any(dim=0)
        w = torch.where(is_used, w, 0.0)
        own = torch.where(is_used, own, 0)
        # NaN times a weight of zero would still be NaN.
        p = torch.where(is_used[:, None], _own_class_probs(logits[:, part], own, tilts), 0.0)
        slope, w2 = p @ tilts.derivative, (w * w)[:, None]
        sums = torch.stack([w[:, None] * p, w2 * p, w2 * p * p, w2 * p * slope, w2 * slope * slope], dim=1)
        curves.index_add_(0, own, sums)
        totals.index_add_(0, own, torch.stack([(w > 0).to(w), w, w * w], dim=1))
    return curves, totals, refused


def _own_class_probs(logits: Tensor, own: Tensor, tilts: Tilts) -> Tensor:
    """(B, G) probability of the intended class at the nodes, mean over views."""
    kernel = torch.add(logits, tilts.to_middle)
    kernel -= kernel.amax(dim=2, keepdim=True)
    kernel.exp_()
    own_kernel = kernel.gather(2, own[None, :, None].expand(len(kernel), -1, 1))
    return (own_kernel * tilts.factors.T[own] / functional.linear(kernel, tilts.factors)).mean(dim=0)
