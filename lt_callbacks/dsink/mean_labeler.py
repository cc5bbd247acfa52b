from __future__ import annotations

import math

import torch
from torch import Tensor

from lt_callbacks.dsink.step import ProxyLabeler


class MeanLabeler(ProxyLabeler):
    """Naive distillation: the mean of the two teachers' predictions as the label, no transport.

    The baseline that D-SINK is compared with (arXiv 2510.08179, Table 9). The class marginal is measured, not met.

    Args:
        scope: See :class:`ProxyLabeler`; labels are the same, the marginal error is over all ranks or one.
    """

    def __init__(self, *, scope: str = "global") -> None:
        # Without a class constraint the labeler returns the normalised rows of the kernel: here the mean itself.
        super().__init__(student_weight=0.0, class_marginal="none", scope=scope)

    def _kernel(self, student: Tensor, noise: Tensor, imbalance: Tensor) -> Tensor:
        return torch.logaddexp(noise, imbalance) - math.log(2.0)
