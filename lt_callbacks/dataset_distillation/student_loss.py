# Legend: B batch, C classes.
from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from lt_callbacks._checks import one_of, real
from lt_callbacks._errors import ArgumentValueError

KINDS = ("hard", "kl", "mse")


@dataclass(frozen=True, kw_only=True)
class StudentLoss:
    """What a student minimises on a view of distilled images.

    Attributes:
        kind: ``"hard"``: cross-entropy with the intended classes alone. ``"kl"``: KL divergence from the soft label to
            the student at a temperature, times its square (so that its gradient does not shrink with it). ``"mse"``:
            squared distance of the logits, averaged over classes.
        temperature: Of ``"kl"``, > 0. It divides calibrated logits: the calibration comes first.
        hard_weight: Weight of the cross-entropy with the intended classes beside a soft label, >= 0.

    The intended classes of a mixed view are two, with the shares of the mixture.

    Reference: ``"kl"`` as in SRe2L (arXiv 2306.13092), ``"mse"`` and the small hard term as in G-VBSM and EDC
    (arXiv 2404.13733), whose weight is 0.025.
    """

    kind: str = "kl"
    temperature: float = 4.0
    hard_weight: float = 0.0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        real("temperature", self.temperature, above=0.0)
        real("hard_weight", self.hard_weight, at_least=0.0)

    @property
    def needs_soft_labels(self) -> bool:
        """Whether the loss reads a teacher's logits."""
        return self.kind != "hard"

    def __call__(
        self, logits: Tensor, soft_logits: Tensor | None, classes: Tensor, partner_classes: Tensor, share: Tensor
    ) -> Tensor:
        """The loss, averaged over a batch.

        Args:
            logits: (B, C) of the student.
            soft_logits: (B, C) calibrated logits of the teacher; not read with ``"hard"``.
            classes: (B,) intended classes.
            partner_classes: (B,) those of the images that were mixed in.
            share: (B,) share of the sample's own image.

        Raises:
            ValueError: Soft labels are needed, and there are none.
        """
        logits = logits.float()
        if soft_logits is None and self.needs_soft_labels:
            raise ArgumentValueError(
                "soft_logits",
                rule=f"be given with kind {self.kind!r}",
                got="None",
                way_out="Load batches with labels, or use kind 'hard'.",
            )
        if soft_logits is None or self.kind == "hard":
            return _mixed_cross_entropy(logits, classes, partner_classes, share)
        if self.kind == "mse":
            loss = F.mse_loss(logits, soft_logits)
        else:
            own = F.log_softmax(logits / self.temperature, dim=1)
            wanted = F.log_softmax(soft_logits / self.temperature, dim=1)
            loss = F.kl_div(own, wanted, reduction="batchmean", log_target=True) * self.temperature**2
        if self.hard_weight:
            loss = loss + self.hard_weight * _mixed_cross_entropy(logits, classes, partner_classes, share)
        return loss


def _mixed_cross_entropy(logits: Tensor, classes: Tensor, partner_classes: Tensor, share: Tensor) -> Tensor:
    own = F.cross_entropy(logits, classes, reduction="none")
    other = F.cross_entropy(logits, partner_classes, reduction="none")
    return (share * own + (1 - share) * other).mean()
