from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.objectives.base import Objective


class SymmetricCrossEntropy(Objective):
    """alpha * cross-entropy + beta * reverse cross-entropy; the second term tolerates noise, the first learns.

    The reverse term -sum_k p_k log y_k of a one-hot label is -A (1 - p_y), with A in the place of log 0. The authors'
    public code clips the label at 1e-4 instead, which is A = -9.21; set ``log_zero`` to that to reproduce it. beta * -A
    is the weight of the reverse term.

    Args:
        alpha: Weight of cross-entropy, >= 0; 0.1 is for CIFAR-10, 6 for CIFAR-100.
        beta: Weight of reverse cross-entropy, >= 0; 1 is for CIFAR-10, 0.1 for CIFAR-100.
        log_zero: A, < 0.

    Reference: Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, ICCV 2019 (arXiv 1908.06112).
    """

    def __init__(self, *, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0) -> None:
        super().__init__()
        self.alpha = real("alpha", alpha, at_least=0.0)
        self.beta = real("beta", beta, at_least=0.0)
        self.log_zero = real("log_zero", log_zero, below=0.0)
        if self.alpha == 0 and self.beta == 0:
            raise ArgumentValueError(
                "alpha", rule="be above 0 where `beta` is 0", got="0", way_out="Set one of them above 0."
            )

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """The sums alpha * -log p_y + beta * -A (1 - p_y)."""
        cross_entropy = self.cross_entropy(logits, given_label)
        # 1 - p_y, exact also where p_y rounds to 1.
        reverse = self.log_zero * torch.expm1(-cross_entropy)
        return self.alpha * cross_entropy + self.beta * reverse
