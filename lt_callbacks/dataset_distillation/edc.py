# Legend: K images a class, C classes.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._checks import real as real_number
from lt_callbacks.dataset_distillation.channel_statistics import (
    ChannelStatistics,
    Moments,
    batch_moments,
    class_moments,
    real_class_moments,
    total_distance,
)
from lt_callbacks.dataset_distillation.distiller import Distiller, Made, OnStep
from lt_callbacks.dataset_distillation.real_images import RealImages
from lt_callbacks.dataset_distillation.recover import Recovery, checked_area, recover


@dataclass(frozen=True, kw_only=True)
class EDC(Distiller):
    """Images from real ones: several networks in rotation, their statistics fitted as a whole and class by class.

    Half of the statistics' distance is to the running statistics, half to those of each class's real images. The
    images' own statistics by class are an exponential moving average over steps, since a batch holds few of a class.
    Statistics rest on the real counts, so those of a small class are rough.

    Attributes:
        num_steps: Steps of each image.
        learning_rate: Of Adam, on normalised pixels.
        statistics_weight: Of the distance (``r_loss``).
        statistics_momentum: Of the moving average, in [0, 1).
        crop_area: Shares of the area that a step sees.
        flip: Whether mirrored images are the same class.
        batch_size: Images that are optimised together at most; whole rounds of one image a class, and at least one.
        autocast: Whether networks run in bfloat16.

    Not taken over from the published code: its flatness term, and statistics of convolutions and patches. Two things
    differ: classes are compared one by one, where it averages over the batch first; and the gradient of the average is
    that of its newest share, where it passes the step's statistics on undamped.

    Reference: Shao et al., Elucidating the Design Space of Dataset Condensation, NeurIPS 2024 (arXiv 2404.13733).
    """

    name: ClassVar[str] = "edc"
    num_steps: int = 200
    learning_rate: float = 0.05
    statistics_weight: float = 0.01
    statistics_momentum: float = 0.8
    crop_area: tuple[float, float] = (0.08, 1.0)
    flip: bool = False
    batch_size: int = 200
    autocast: bool = False

    def __post_init__(self) -> None:
        checked_area(self.crop_area)
        object.__setattr__(self, "crop_area", tuple(self.crop_area))
        real_number("statistics_weight", self.statistics_weight, at_least=0.0)
        real_number("statistics_momentum", self.statistics_momentum, at_least=0.0, below=1.0)
        integer("batch_size", self.batch_size, at_least=1)
        self._recovery()

    def _recovery(self) -> Recovery:
        return Recovery(
            num_steps=self.num_steps,
            learning_rate=self.learning_rate,
            crop_area=self.crop_area,
            flip=self.flip,
            autocast=self.autocast,
        )

    def _make(
        self, real: RealImages, networks: Sequence[nn.Module], *, images_per_class: int, seed: int, on_step: OnStep
    ) -> Made:
        positions, classes, num_repeated = real.draw(images_per_class, seed=seed)
        by_class = [real_class_moments(network, real, batch_size=512) for network in networks]
        start = real.normalised(real.pixels[positions.to(real.pixels.device)])
        classes = classes.to(start.device)
        places = torch.arange(len(classes)) % images_per_class
        rounds = max(1, self.batch_size // real.num_classes)
        made = torch.empty_like(start, dtype=torch.uint8)
        num_groups = -(-images_per_class // rounds)
        for group in range(num_groups):
            own = (places // rounds == group).nonzero().flatten().to(start.device)
            made[own] = recover(
                start[own],
                classes[own],
                networks,
                real=real,
                settings=self._recovery(),
                statistics_loss=_Matching(self, networks, by_class, classes[own], real.num_classes),
                seed=seed * num_groups + group,
                on_step=lambda done, before=group: on_step(  # type: ignore[misc]
                    before * self.num_steps + done, num_groups * self.num_steps
                ),
            )
        return Made(images=made, intended_class=classes, num_repeated=num_repeated)


class _Matching:
    """The statistics' loss of one group of images, with the memory of its moving averages."""

    def __init__(
        self,
        settings: EDC,
        networks: Sequence[nn.Module],
        by_class: Sequence[Sequence[Moments]],
        classes: Tensor,
        num_classes: int,
    ) -> None:
        self.settings, self.by_class, self.classes, self.num_classes = settings, by_class, classes, num_classes
        self.running = [ChannelStatistics(network).running() for network in networks]
        self.averages: dict[int, list[Moments]] = {}

    def __call__(self, number: int, seen: ChannelStatistics) -> Tensor:
        whole = total_distance([batch_moments(inputs) for inputs in seen.inputs], self.running[number])
        found = [class_moments(inputs, self.classes, self.num_classes) for inputs in seen.inputs]
        averaged = self._averaged(number, found)
        each = total_distance(averaged, self.by_class[number])
        return self.settings.statistics_weight * (0.5 * whole + 0.5 * each)

    def _averaged(self, number: int, found: list[Moments]) -> list[Moments]:
        old, momentum = self.averages.get(number), self.settings.statistics_momentum
        if old is not None:
            found = [
                Moments(
                    mean=momentum * before.mean + (1 - momentum) * now.mean,
                    var=momentum * before.var + (1 - momentum) * now.var,
                )
                for before, now in zip(old, found, strict=True)
            ]
        self.averages[number] = [Moments(mean=now.mean.detach(), var=now.var.detach()) for now in found]
        return found
