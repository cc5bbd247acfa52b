# Legend: B batch, N images of the set, H x W image, P padding.
# What is decided for (seed, sample, view): hashed integers, and float64 arithmetic that IEEE 754 rounds alike
# everywhere (no exp, no log), so that a CPU and a GPU agree in every bit.
from __future__ import annotations

import math

import torch
from torch import Tensor

from lt_callbacks._counter_random import random_integers, random_uniforms, stream_key
from lt_callbacks.distilled_set.view_settings import ViewSettings

#: Ratio of width to height of a resized crop: the ImageNet recipe.
CROP_RATIO = (3 / 4, 4 / 3)
_NUM_RATIOS = 4096
_NUM_WEIGHTS = 1 << 14


def crop_offsets(samples: Tensor, settings: ViewSettings, *, view: int) -> Tensor:
    """(B, 2) int64 in [0, 2 P]: row and column where the view starts in the padded image; P is no shift."""
    bound = 2 * settings.crop_padding + 1
    sides = [
        random_integers(samples, _key(purpose, settings, view), bound=bound) for purpose in ("crop row", "crop column")
    ]
    return torch.stack(sides, dim=1)


def crop_ratios() -> Tensor:
    """(R,) float64: log-uniform ratios for `crop_boxes`, made on the CPU once so that no device takes its own exp."""
    low, high = (math.log(bound) for bound in CROP_RATIO)
    steps = [(step + 0.5) / _NUM_RATIOS for step in range(_NUM_RATIOS)]
    return torch.tensor([math.exp(low + step * (high - low)) for step in steps], dtype=torch.float64)


def crop_boxes(samples: Tensor, settings: ViewSettings, *, view: int, size: tuple[int, int], ratios: Tensor) -> Tensor:
    """(B, 4) int64: top, left, height, width of the part that a view shows.

    The area is uniform in ``crop_area`` and the ratio of width to height log-uniform in [3/4, 4/3], as in torchvision's
    ``RandomResizedCrop``. A box that would not fit is not drawn again: its ratio is bent until it does, its area kept.

    Args:
        samples: (B,) int64.
        settings: ``seed`` and ``crop_area`` count.
        view: Number of the view.
        size: H and W.
        ratios: From `crop_ratios`, on the samples' device.
    """
    height, width = size
    uniform = [random_uniforms(samples, _key(f"box {part}", settings, view)) for part in ("area", "top", "left")]
    low, high = settings.crop_area
    area = (uniform[0] * (high - low) + low) * (height * width)
    ratio = ratios[random_integers(samples, _key("box ratio", settings, view), bound=len(ratios))]
    # The widths W and heights H that are possible at this area.
    ratio = torch.minimum(torch.maximum(ratio, area / height**2), width**2 / area)
    box_height = (area / ratio).sqrt().round().clamp(1, height)
    box_width = (area * ratio).sqrt().round().clamp(1, width)
    top = (uniform[1] * (height - box_height + 1)).floor()
    left = (uniform[2] * (width - box_width + 1)).floor()
    return torch.stack([top, left, box_height, box_width], dim=1).to(torch.int64)


def is_mirrored(samples: Tensor, settings: ViewSettings, *, view: int) -> Tensor:
    """(B,) bool: which samples are mirrored in this view."""
    if not settings.flip:
        return torch.zeros_like(samples, dtype=torch.bool)
    return random_integers(samples, _key("flip", settings, view), bound=2) == 1


def partners(samples: Tensor, settings: ViewSettings, *, view: int, num_images: int) -> Tensor:
    """(B,) int64 in 0..N-1: the image that a sample is mixed with, any of the set, itself included."""
    return random_integers(samples, _key("partner", settings, view), bound=num_images)


def mixing_weights(alpha: float) -> Tensor:
    """(K,) float64: K equally likely values of Beta(alpha, alpha), the medians of K parts of equal probability.

    A table, because a Beta variable is no closed function of one uniform number.
    """
    if alpha == 1.0:
        return (torch.arange(_NUM_WEIGHTS, dtype=torch.float64) + 0.5) / _NUM_WEIGHTS
    from scipy.special import betaincinv

    half = _NUM_WEIGHTS // 2
    probabilities = ((torch.arange(half, dtype=torch.float64) + 0.5) / _NUM_WEIGHTS).numpy()
    lower = torch.from_numpy(betaincinv(alpha, alpha, probabilities))
    # Symmetric, so that the mean is 1/2 whatever the rounding.
    return torch.cat([lower, 1 - lower.flip(0)])


def drawn_weights(samples: Tensor, settings: ViewSettings, *, view: int, weights: Tensor) -> Tensor:
    """(B,) float64: lambda, the weight of a sample's own image, from the table of `mixing_weights`."""
    return weights[random_integers(samples, _key("weight", settings, view), bound=len(weights))]


def cutmix_boxes(
    samples: Tensor, settings: ViewSettings, *, view: int, size: tuple[int, int], weights: Tensor
) -> Tensor:
    """(B, 4) int64: top, left, bottom, right of the part that the partner covers, ends excluded.

    As the reference code of Yun et al. (2019): sides sqrt(1 - lambda) of the image's, centre uniform over the pixels,
    cut off at the border. The box is therefore smaller than 1 - lambda on average, and may be empty.
    """
    side = (1 - drawn_weights(samples, settings, view=view, weights=weights)).sqrt()
    ends = []
    for name, full in zip(("row", "column"), size, strict=True):
        half = ((side * full).floor() / 2).floor().to(torch.int64)
        center = random_integers(samples, _key(f"cutmix {name}", settings, view), bound=full)
        ends.append(((center - half).clamp(0, full), (center + half).clamp(0, full)))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], dim=1)


def _key(purpose: str, settings: ViewSettings, view: int) -> int:
    # Named apart from the training loaders' streams: equal seeds must not give equal crops.
    return stream_key(f"distilled {purpose}", seed=settings.seed, epoch=view)
