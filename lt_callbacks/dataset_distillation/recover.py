# Legend: B images that are optimised together.
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks._checks import integer, real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.dataset_distillation.channel_statistics import ChannelStatistics
from lt_callbacks.dataset_distillation.eval_mode import frozen_in_eval_mode
from lt_callbacks.dataset_distillation.real_images import RealImages

#: (network number, its statistics after the forward pass) -> what is added to the cross-entropy.
StatisticsLoss = Callable[[int, ChannelStatistics], Tensor]


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How images are optimised through frozen networks, one network a step in rotation.

    Attributes:
        num_steps: >= 1.
        learning_rate: Of Adam at the start, > 0, on normalised pixels; it falls to 0 along a cosine.
        betas: Of Adam.
        jitter: Largest shift in pixels, rolled around the border, of the whole batch in each step; 0: none.
        crop_area: Smallest and largest share of the area that a step sees, cropped at random and resized; None: all.
        flip: Whether half of the steps see mirrored images.
        autocast: Whether the networks run in bfloat16.

    Raises:
        TypeError, ValueError: A setting is out of range.
    """

    num_steps: int
    learning_rate: float
    betas: tuple[float, float] = (0.5, 0.9)
    jitter: int = 0
    crop_area: tuple[float, float] | None = None
    flip: bool = False
    autocast: bool = False

    def __post_init__(self) -> None:
        integer("num_steps", self.num_steps, at_least=1)
        real("learning_rate", self.learning_rate, above=0.0)
        integer("jitter", self.jitter, at_least=0)
        for beta in self.betas:
            real("betas", beta, at_least=0.0, below=1.0)
        if self.crop_area is not None:
            checked_area(self.crop_area)
        for name, value in (("flip", self.flip), ("autocast", self.autocast)):
            if not isinstance(value, bool):
                raise ArgumentTypeError(name, rule="be True or False", got=repr(value))


def checked_area(crop_area: object) -> None:
    """Refuse what is not (smallest, largest) share of an image's area.

    Raises:
        TypeError, ValueError: It is no such pair.
    """
    if isinstance(crop_area, str) or not isinstance(crop_area, Sequence) or len(crop_area) != 2:
        raise ArgumentTypeError("crop_area", rule="be a pair (smallest, largest) of area shares", got=repr(crop_area))
    smallest, largest = (real("crop_area", share, above=0.0, at_most=1.0) for share in crop_area)
    if smallest > largest:
        raise ArgumentValueError(
            "crop_area", rule="be (smallest, largest) shares", got=repr(crop_area), way_out="Swap the two."
        )


def recover(
    start: Tensor,
    classes: Tensor,
    networks: Sequence[nn.Module],
    *,
    real: RealImages,
    settings: Recovery,
    statistics_loss: StatisticsLoss,
    seed: int,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Optimise images until the networks see their classes in them, and statistics like those of real images.

    Args:
        start: (B, channels, H, W) normalised pixels.
        classes: (B,) int64 intended classes.
        networks: Frozen, in eval mode, whatever they were; logits out.
        real: Says how pixels are normalised.
        settings: The optimisation.
        statistics_loss: The second part of the loss.
        seed: Of shifts, crops and mirrorings.
        on_step: Is told how many steps are done.

    Returns:
        (B, channels, H, W) uint8 of the last step, rounded.
    """
    images = start.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([images], lr=settings.learning_rate, betas=settings.betas)
    generator = torch.Generator().manual_seed(seed)
    device = start.device
    lowest = real.normalised(torch.zeros(1, start.shape[1], 1, 1, device=device))
    highest = real.normalised(torch.ones(1, start.shape[1], 1, 1, device=device))
    with frozen_in_eval_mode(networks), ExitStack() as stack:
        seen = [stack.enter_context(ChannelStatistics(network)) for network in networks]
        for step in range(settings.num_steps):
            number = step % len(networks)
            optimiser.param_groups[0]["lr"] = _rate(settings, step)
            optimiser.zero_grad(set_to_none=True)
            views = _view(images, settings, generator)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.autocast):
                logits = networks[number](views)
            loss = F.cross_entropy(logits.float(), classes) + statistics_loss(number, seen[number])
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                images.clamp_(lowest, highest)
            if on_step is not None:
                on_step(step + 1)
    return to_uint8(images.detach(), real)


def to_uint8(images: Tensor, real: RealImages) -> Tensor:
    """Normalised pixels back to uint8, rounded."""
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (real.mean, real.std))
    return ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def _rate(settings: Recovery, step: int) -> float:
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.num_steps))


def _view(images: Tensor, settings: Recovery, generator: torch.Generator) -> Tensor:
    """The same crop, mirroring and shift for the whole batch: another one in each step."""

    def uniform() -> float:
        return float(torch.rand((), generator=generator))

    if settings.crop_area is not None:
        images = _crop(images, settings.crop_area, [uniform() for _ in range(4)])
    if settings.flip and uniform() < 0.5:
        images = images.flip(-1)
    if settings.jitter:
        shifts = [int(uniform() * (2 * settings.jitter + 1)) - settings.jitter for _ in range(2)]
        images = images.roll(shifts, dims=(2, 3))
    return images


def _crop(images: Tensor, area: tuple[float, float], uniforms: Sequence[float]) -> Tensor:
    height, width = images.shape[-2:]
    share = area[0] + uniforms[0] * (area[1] - area[0])
    ratio = math.exp((2 * uniforms[1] - 1) * math.log(4 / 3))
    rows = min(height, max(1, round(height * math.sqrt(share / ratio))))
    columns = min(width, max(1, round(width * math.sqrt(share * ratio))))
    top = int(uniforms[2] * (height - rows + 1))
    left = int(uniforms[3] * (width - columns + 1))
    part = images[..., top : top + rows, left : left + columns]
    return F.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)
