from __future__ import annotations

from torch import Tensor

from lt_callbacks.objectives.base import Objective


class CrossEntropy(Objective):
    """Mean cross-entropy: no defence against noise or imbalance, the baseline of both.

    Example:
        >>> import torch
        >>> CrossEntropy()(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.6931)
    """

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """-log softmax(logits) at the given label."""
        return self.cross_entropy(logits, given_label)
