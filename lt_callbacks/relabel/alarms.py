# Legend: B batch, C classes.
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks.adsa import TauFit
from lt_callbacks.metrics import class_groups

#: Alarm when the labels of head classes are less sure than those of tail classes by this share of log C.
OVER_CORRECTED_BY = 0.1
#: Alarm when less than this share of a class's images is recognised (and never below chance, 1 / C).
LEAST_RECOGNISED = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelQuality:
    """How sure and how right the calibrated labels of the unvaried images are, by intended class.

    Attributes:
        recognised: (C,) share of the class's images whose largest probability is that of the intended class.
        entropy: (C,) mean entropy of the labels as a share of log C.
    """

    recognised: Tensor
    entropy: Tensor


def label_sums(logits: Tensor, intended_class: Tensor) -> Tensor:
    """(3, C) float64 sums by class over a batch: images, recognised ones, entropies; they add up over ranks.

    Args:
        logits: (B, C) calibrated, any float.
        intended_class: (B,) int64 on the same device.
    """
    num_classes = logits.shape[1]
    log_probs = logits.detach().to("cpu", torch.float64).log_softmax(dim=1)
    intended = intended_class.cpu()
    entropy = torch.special.entr(log_probs.exp()).sum(dim=1)
    recognised = (log_probs.argmax(dim=1) == intended).to(torch.float64)
    rows = torch.stack([torch.ones_like(entropy), recognised, entropy])
    return torch.zeros(3, num_classes, dtype=torch.float64).index_add_(1, intended, rows)


def label_quality(sums: Tensor) -> LabelQuality:
    """Label quality from the (3, C) sums of all ranks; every class has an image."""
    count, recognised, entropy = sums.cpu()
    return LabelQuality(recognised=recognised / count, entropy=entropy / count / math.log(sums.shape[1]))


def alarms(fit: TauFit, quality: LabelQuality, *, class_names: Sequence[str]) -> list[str]:
    """Reasons not to trust the calibrated labels, one sentence each; an empty list where there is none.

    - tau lies at an end of its grid, or the images do not determine it.
    - Over-correction: the labels of the head (the third of the classes with the largest prior) have a mean entropy
      that exceeds that of the tail's by more than 0.1 log C. Adjusted labels level the classes; beyond that, the tail
      is favoured.
    - Classes whose own images the model does not recognise even after the adjustment, less than 20 % of them, or than
      chance: such images carry no label that could be rescued.
    """
    found = []
    if fit.is_at_edge:
        found.append(f"tau = {fit.tau:.2f} is not to be trusted: {fit.reason}.")
    elif not fit.identified:
        found.append(f"tau = {fit.tau:.2f} is not identified by the distilled images: {fit.reason}.")
    if float(fit.class_prior.max()) > float(fit.class_prior.min()):
        groups = class_groups(fit.class_prior)
        head, tail = (float(quality.entropy[groups[name]].mean()) for name in ("many", "few"))
        if head - tail > OVER_CORRECTED_BY:
            found.append(
                f"Over-correction: labels of the head have a mean entropy of {head:.2f} log C, those of the tail "
                f"{tail:.2f}. Set `shrink_to`, or check the class prior."
            )
    least = max(LEAST_RECOGNISED, 1 / len(class_names))
    lost = (quality.recognised < least).nonzero()[:, 0].tolist()
    if lost:
        named = ", ".join(
            f"{class_names[label]} ({100 * float(quality.recognised[label]):.0f} %)" for label in lost[:5]
        )
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        found.append(
            f"Less than {100 * least:.0f} % of the images of {len(lost)} of {len(class_names)} classes are recognised "
            f"by the model: {named}{more}. No label rescues those; distil them again."
        )
    return found
