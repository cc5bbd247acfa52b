from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._checks import real as real_number
from lt_callbacks.dataset_distillation.channel_statistics import ChannelStatistics, class_moments, total_distance
from lt_callbacks.dataset_distillation.distiller import Distiller, Made, OnStep
from lt_callbacks.dataset_distillation.real_images import RealImages
from lt_callbacks.dataset_distillation.recover import Recovery, recover


@dataclass(frozen=True, kw_only=True)
class SRe2L(Distiller):
    """Images from noise: a network recognises their class, and its batch-norm statistics fit.

    One image of every class makes a batch, whose statistics count; batches do not know of each other, though several
    go through the network together. Defaults are the published ones for CIFAR. With several networks they take turns,
    which is not in the paper.

    Attributes:
        num_steps: Steps of each image.
        learning_rate: Of Adam, on normalised pixels.
        statistics_weight: Of the distance of batch-norm statistics (``r_bn``).
        first_layer_weight: How often the first layer's distance counts.
        jitter: Largest shift in pixels.
        batch_size: Images that are optimised side by side at most; whole batches of one image a class, at least one.
        autocast: Whether networks run in bfloat16.

    Reference: Yin, Xing and Shen, Squeeze, Recover and Relabel, NeurIPS 2023 (arXiv 2306.13092).
    """

    name: ClassVar[str] = "sre2l"
    num_steps: int = 1000
    learning_rate: float = 0.25
    statistics_weight: float = 0.01
    first_layer_weight: float = 10.0
    jitter: int = 4
    batch_size: int = 200
    autocast: bool = False

    def __post_init__(self) -> None:
        real_number("statistics_weight", self.statistics_weight, at_least=0.0)
        real_number("first_layer_weight", self.first_layer_weight, at_least=0.0)
        integer("jitter", self.jitter, at_least=0)
        integer("batch_size", self.batch_size, at_least=1)
        self._recovery()

    def _recovery(self) -> Recovery:
        return Recovery(
            num_steps=self.num_steps, learning_rate=self.learning_rate, jitter=self.jitter, autocast=self.autocast
        )

    def _make(
        self, real: RealImages, networks: Sequence[nn.Module], *, images_per_class: int, seed: int, on_step: OnStep
    ) -> Made:
        wanted = [ChannelStatistics(network).running() for network in networks]
        device, num_classes = real.pixels.device, real.num_classes
        together = max(1, self.batch_size // num_classes)
        num_groups = -(-images_per_class // together)
        made = []
        for group in range(num_groups):
            places = range(group * together, min((group + 1) * together, images_per_class))
            start = torch.cat([self._noise(real, seed * images_per_class + place) for place in places])
            batches = torch.arange(len(places), device=device).repeat_interleave(num_classes)

            def statistics_loss(number: int, seen: ChannelStatistics, batches: Tensor = batches) -> Tensor:
                num_batches = len(batches) // num_classes
                found = [class_moments(inputs, batches, num_batches) for inputs in seen.inputs]
                distance = total_distance(found, wanted[number], first_weight=self.first_layer_weight)
                return self.statistics_weight * distance

            made.append(
                recover(
                    start,
                    torch.arange(num_classes, device=device).repeat(len(places)),
                    networks,
                    real=real,
                    settings=self._recovery(),
                    statistics_loss=statistics_loss,
                    seed=seed * num_groups + group,
                    on_step=lambda done, before=group: on_step(  # type: ignore[misc]
                        before * self.num_steps + done, num_groups * self.num_steps
                    ),
                )
            )
        # From (K, C, ...) to the images of a class one after the other.
        images = torch.cat(made).unflatten(0, (images_per_class, num_classes)).transpose(0, 1).flatten(0, 1)
        return Made(
            images=images,
            intended_class=torch.arange(num_classes).repeat_interleave(images_per_class),
            num_repeated=torch.zeros(num_classes, dtype=torch.int64),
        )

    def _noise(self, real: RealImages, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(real.num_classes, *real.pixels.shape[1:], generator=generator).to(real.pixels.device)
