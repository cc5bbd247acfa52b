from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks.objectives.base import Objective


class BalancedSoftmax(Objective):
    """Cross-entropy under the softmax weighted by class counts, n_y exp(z_y) / sum_j n_j exp(z_j).

    The same function of the logits as :class:`LogitAdjustment` at tau = 1, from another derivation; kept under its own
    name because results are reported under both. The counts act in training only.

    Reference: Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020 (arXiv 2007.10740),
    section 3.
    """

    needs_prepare = True
    log_counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_counts", None)

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Make the (C,) log counts of the given labels."""
        self.log_counts = class_counts.log().to(torch.float32)

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """Cross-entropy of the logits weighted by counts."""
        return self.cross_entropy(logits + self.log_counts, given_label)
