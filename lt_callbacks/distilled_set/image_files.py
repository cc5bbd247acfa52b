from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentValueError


def checked_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width from one number or a pair of them; None for None.

    Raises:
        TypeError, ValueError: It is neither a positive integer nor a pair of such.
    """
    if image_size is None:
        return None
    pair = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(pair) != 2:
        raise ArgumentValueError(
            "image_size", rule="be one number or (height, width)", got=repr(image_size), way_out="Pass pixels."
        )
    height, width = (integer("image_size", side, at_least=1) for side in pair)
    return (height, width)


def read_images(paths: Sequence[Path], size: tuple[int, int] | None) -> Tensor:
    """Images from files, (N, channels, H, W) uint8: one channel if no file holds colours, otherwise RGB.

    Args:
        paths: Image files, N >= 1, read by `read_picture`.
        size: Height and width to resize to, once they are upright and have 8 bits a channel. None: all must have one
            size.

    Raises:
        ValueError: A file cannot be shown faithfully, or has another size than the first.
    """
    from PIL import Image

    from lt_callbacks._pictures import read_picture

    pictures: list[Image.Image] = []
    for path in paths:
        picture = read_picture(path, keep_grey=True)
        if size is None and pictures and picture.size != pictures[0].size:
            raise ArgumentValueError(
                "image_size",
                rule="be given where images differ in size",
                got=f"width and height {pictures[0].size} in {paths[0]} and {picture.size} in {path}",
                way_out="Pass the side in pixels.",
            )
        pictures.append(picture if size is None else picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    arrays = [np.asarray(picture.convert(mode)).reshape(picture.height, picture.width, -1) for picture in pictures]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def png_bytes(image: Tensor) -> bytes:
    """The bytes of a PNG file of ``image``, (1 or 3, H, W) uint8; lossless."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of pixels scaled to [0, 1]; 1 is the deviation of a constant channel.

    Args:
        images: (N, channels, H, W) uint8.
    """
    # Whole numbers, so that every machine finds the same; a histogram spares a wide copy of the images.
    num_values = images.shape[0] * images.shape[2] * images.shape[3]
    means, deviations = [], []
    for channel in images.unbind(1):
        counts = channel.flatten().bincount(minlength=256).tolist()
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value * value * count for value, count in enumerate(counts))
        means.append(total / num_values / 255)
        variance = (squares * num_values - total * total) / num_values**2
        deviations.append(math.sqrt(variance) / 255 or 1.0)
    return tuple(means), tuple(deviations)
