from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks.objectives.base import Objective


class LogitAdjustment(Objective):
    """Cross-entropy of logits + tau * log prior: the network learns what the prior does not already explain.

    The shift belongs to training only. The network's own logits then aim at the balanced error, so predictions (and the
    eval-mode loss) use them as they are. On noisy data the prior is that of the given labels, which noise flattens, so
    the imbalance is under-corrected.

    Args:
        tau: Strength of the adjustment, >= 0; 1 is consistent for the balanced error, 0 is cross-entropy.

    Reference: Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (arXiv 2007.07314), Eq. 10.
    """

    needs_prepare = True
    log_prior: Tensor

    def __init__(self, *, tau: float = 1.0) -> None:
        super().__init__()
        self.tau = real("tau", tau, at_least=0.0)
        self.register_buffer("log_prior", None)

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Make the (C,) log shares of the classes among the given labels."""
        # The largest first: the sum of large counts need not be finite.
        share = class_counts / class_counts.max()
        self.log_prior = (share.log() - share.sum().log()).to(torch.float32)

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """Cross-entropy of the adjusted logits."""
        return self.cross_entropy(logits + self.tau * self.log_prior, given_label)
