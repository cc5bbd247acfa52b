from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from lt_callbacks._counter_random import random_uniforms, stream_key
from lt_callbacks._covering_size import covering_size

#: Share of the image's area and ratio of width to height that a random crop takes: the ImageNet recipe.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
#: Evaluation resizes to this multiple of the size given out before it crops the centre: 256 for 224.
CENTER_RESIZE = 256 / 224
_CROP_TRIES = 10


def random_resized_crop(image: Image.Image, size: tuple[int, int], *, index: int, seed: int, epoch: int) -> Tensor:
    """A random part of an image, resized to ``size``: (3, H, W) uint8, the same for equal (seed, epoch, index)."""
    top, left, height, width = random_crop_box(image.height, image.width, index=index, seed=seed, epoch=epoch)
    return transforms.pil_to_tensor(transforms.resized_crop(image, top, left, height, width, list(size)))


def center_crop(image: Image.Image, size: tuple[int, int], *, resize: float = CENTER_RESIZE) -> Tensor:
    """The centre of an image made as small as still covers ``resize`` times ``size``: (3, H, W) uint8."""
    scaled = covering_size((image.height, image.width), size, resize=resize)
    return transforms.pil_to_tensor(transforms.center_crop(transforms.resize(image, scaled), list(size)))


def random_crop_box(height: int, width: int, *, index: int, seed: int, epoch: int) -> tuple[int, int, int, int]:
    """Top, left, height, width of a sample's random crop.

    torchvision's ``RandomResizedCrop`` with its defaults, except that the numbers are hashed and not drawn.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        index: The sample's identity.
        seed: The training seed.
        epoch: The epoch of the view.
    """
    counters = index * (2 * _CROP_TRIES + 2) + torch.arange(2 * _CROP_TRIES + 2)
    key = stream_key("resized crop", seed=seed, epoch=epoch)
    down, right, *tries = random_uniforms(counters, key).tolist()
    for area_share, ratio_share in zip(tries[::2], tries[1::2], strict=True):
        area = height * width * (CROP_AREA[0] + area_share * (CROP_AREA[1] - CROP_AREA[0]))
        log_ratio = [math.log(bound) for bound in CROP_RATIO]
        ratio = math.exp(log_ratio[0] + ratio_share * (log_ratio[1] - log_ratio[0]))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top, left = int(down * (height - box_height + 1)), int(right * (width - box_width + 1))
            return top, left, box_height, box_width
    # A very long image: the largest part in its middle whose ratio is allowed.
    box_height = min(height, max(1, round(width / CROP_RATIO[0])))
    box_width = min(width, max(1, round(height * CROP_RATIO[1])))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
