from __future__ import annotations

import math

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.objectives.base import Objective


class GeneralizedCrossEntropy(Objective):
    """(1 - p_y^q) / q: between cross-entropy (q towards 0) and mean absolute error (q = 1).

    A sample's gradient is that of cross-entropy times p_y^q, so a label the network finds impossible hardly pulls.

    With ``truncation`` k, the loss of a sample with p_y <= k is the constant (1 - k^q) / q: it no longer pulls at all.
    At the start every p_y is near 1/C, so truncation waits. This is the elementwise form of the paper's definition; the
    public code freezes the set of truncated samples for ten epochs at a time.

    Args:
        q: In (0, 1].
        truncation: k in (0, 1), or None for no truncation.
        truncation_start: Share of ``max_epochs`` after which truncation acts, in [0, 1]; only with ``truncation``. None
            is 1/3, the public code's 40 of 120 epochs. Needs :meth:`set_epoch` at every epoch.

    Reference: Zhang and Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels,
    NeurIPS 2018 (arXiv 1805.07836), Eq. 6 and section 3.3.
    """

    def __init__(
        self, *, q: float = 0.7, truncation: float | None = None, truncation_start: float | None = None
    ) -> None:
        super().__init__()
        self.q = real("q", q, above=0.0, at_most=1.0, hint="Use the objective 'cross_entropy' for q = 0.")
        if truncation is None and truncation_start is not None:
            raise ArgumentValueError(
                "truncation_start",
                rule="be None without `truncation`",
                got=repr(truncation_start),
                way_out="Set `truncation`, for example to 0.5, or leave `truncation_start` out.",
            )
        if truncation is not None:
            truncation = real("truncation", truncation, above=0.0, below=1.0, hint="None turns truncation off.")
        if truncation_start is None:
            truncation_start = 1 / 3
        self.truncation = truncation
        self.truncation_start = real(
            "truncation_start", truncation_start, at_least=0.0, at_most=1.0, hint="It is a share of the epochs."
        )
        self.truncation_epoch = 0
        self.needs_prepare = truncation is not None

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Set the epoch from which truncation acts."""
        self.truncation_epoch = round(self.truncation_start * max_epochs)

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """(1 - p_y^q) / q, from log p_y so that p_y may underflow."""
        log_prob = -self.cross_entropy(logits, given_label)
        losses = -torch.expm1(self.q * log_prob) / self.q
        if self.truncation is not None and self.epoch >= self.truncation_epoch:
            log_truncation = math.log(self.truncation)
            ceiling = -math.expm1(self.q * log_truncation) / self.q
            losses = torch.where(log_prob > log_truncation, losses, ceiling)
        return losses
