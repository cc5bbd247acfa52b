# Legend: n samples of a class, D features.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks.dataset_distillation.distiller import Distiller, Made, OnStep
from lt_callbacks.dataset_distillation.eval_mode import frozen_in_eval_mode
from lt_callbacks.dataset_distillation.real_images import RealImages


@dataclass(frozen=True, kw_only=True)
class Herding(Distiller):
    """Real images whose features' running mean follows the class mean: greedy selection, no synthesis.

    Features are the first network's ``features(images)``, or its logits where it has no such method. A class with
    fewer images than wanted is taken whole, again and again.

    Attributes:
        batch_size: Images a forward pass.

    Reference: Welling, Herding Dynamical Weights to Learn, ICML 2009; as a coreset in iCaRL (arXiv 1611.07725, Alg. 4).
    """

    name: ClassVar[str] = "herding"
    batch_size: int = 512

    def __post_init__(self) -> None:
        integer("batch_size", self.batch_size, at_least=1)

    def _make(
        self, real: RealImages, networks: Sequence[nn.Module], *, images_per_class: int, seed: int, on_step: OnStep
    ) -> Made:
        network = networks[0]
        embed = getattr(network, "features", network)
        with frozen_in_eval_mode([network]), torch.no_grad():
            features = torch.cat([embed(images).float().flatten(1) for images, _ in real.batches(self.batch_size)])
        chosen = []
        for label in range(real.num_classes):
            own = (real.labels == label).nonzero().flatten()
            order = herd(features[own], min(images_per_class, len(own)))
            chosen.append(own[order[torch.arange(images_per_class, device=own.device) % len(order)]])
            on_step(label + 1, real.num_classes)
        return Made(
            images=real.pixels[torch.cat(chosen)],
            intended_class=torch.arange(real.num_classes).repeat_interleave(images_per_class),
            num_repeated=(images_per_class - real.class_counts).clamp(min=0),
        )


def herd(features: Tensor, num_chosen: int) -> Tensor:
    """(num_chosen,) positions: each next sample brings the mean of the chosen ones closest to the mean of all.

    Args:
        features: (n, D) of one class.
        num_chosen: In 1..n; no sample is taken twice.
    """
    wanted = features.mean(dim=0)
    total = torch.zeros_like(wanted)
    is_free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    chosen = []
    for number in range(1, num_chosen + 1):
        distance = ((total + features) / number - wanted).square().sum(dim=1)
        best = distance.masked_fill(~is_free, torch.inf).argmin()
        is_free[best] = False
        total = total + features[best]
        chosen.append(best)
    return torch.stack(chosen)
