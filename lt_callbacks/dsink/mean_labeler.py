from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks.dsink.labeler import ProxyLabeler, ProxyLabels


class MeanLabeler(ProxyLabeler):
    """Naive distillation: the mean of the two teachers' predictions as the label, no transport.

    The baseline that D-SINK is compared with (arXiv 2510.08179, Table 9).
    """

    @torch.no_grad()
    def __call__(
        self,
        student_logits: Tensor,
        noise_log_probs: Tensor,
        imbalance_log_probs: Tensor,
        *,
        process_group: dist.ProcessGroup | None = None,
    ) -> ProxyLabels:
        """Labels of this rank's (N, C) predictions; the class marginal is measured, not met."""
        mean = torch.logaddexp(noise_log_probs, imbalance_log_probs) - torch.log(torch.tensor(2.0))
        # With the student left out and no class constraint the labeler returns the given distribution itself.
        return super().__call__(student_logits, mean, imbalance_log_probs, process_group=process_group)
