from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from lt_callbacks.dataset_distillation.distiller import Distiller, Made, OnStep
from lt_callbacks.dataset_distillation.real_images import RealImages


@dataclass(frozen=True, kw_only=True)
class RandomReal(Distiller):
    """Random real images of every class: the baseline that each distiller has to beat, and where `EDC` starts."""

    name: ClassVar[str] = "random_real"
    needs_networks: ClassVar[bool] = False

    def _make(
        self, real: RealImages, networks: Sequence[nn.Module], *, images_per_class: int, seed: int, on_step: OnStep
    ) -> Made:
        positions, classes, num_repeated = real.draw(images_per_class, seed=seed)
        on_step(1, 1)
        return Made(
            images=real.pixels[positions.to(real.pixels.device)], intended_class=classes, num_repeated=num_repeated
        )
