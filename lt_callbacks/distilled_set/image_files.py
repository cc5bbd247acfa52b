from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError

#: Endings of the files that count as images; others are left alone.
IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# 8 bits a channel or fewer; Pillow would cut off what is beyond.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "HSV", "LAB")


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


def class_folders(folder: Path) -> list[str]:
    """Names of the class folders in ``folder``, in alphabetic order.

    Raises:
        FileNotFoundError: There is no folder, or none in it.
    """
    inside = folder.iterdir() if folder.is_dir() else ()
    names = sorted(entry.name for entry in inside if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ArgumentFileError(
            "folder",
            rule=f"hold image files in a folder a class, {folder / 'CLASS' / '*.png'}",
            got="none",
            way_out="Check the path.",
        )
    return names


def image_files(folder: Path) -> list[Path]:
    """Image files of a class by name, those of folders inside included.

    Raises:
        ValueError: There is none.
    """
    # Notebooks and macOS leave hidden copies of images beside them.
    inside = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    visible = [folder / name for name in inside if not any(part.startswith(".") for part in name.split("/"))]
    found = [path for path in visible if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
    if not found:
        raise ArgumentValueError(
            "folder",
            rule="hold an image for every class",
            got=f"no file ending in {', '.join(IMAGE_ENDINGS)} in {folder}",
            way_out="Add images, or remove the folder.",
        )
    return found


def read_images(paths: Sequence[Path], size: tuple[int, int] | None) -> Tensor:
    """Images from files, (N, channels, H, W) uint8: one channel if all files are 8-bit grey, otherwise RGB.

    Args:
        paths: Image files, N >= 1.
        size: Height and width to resize to. None: all must have one size.

    Raises:
        ValueError: A file cannot be decoded, has more than 8 bits a channel, or another size than the first.
    """
    from PIL import Image

    opened: list[Image.Image] = []
    for path in paths:
        try:
            with Image.open(path) as image:
                image.load()
        except (OSError, SyntaxError) as error:  # Pillow reports a broken PNG chunk as a SyntaxError
            raise ArgumentValueError(
                "folder",
                rule="hold files that Pillow can decode",
                got=f"{path}: {error}",
                way_out="Replace or remove it.",
            ) from error
        if image.mode not in _MODES:
            raise ArgumentValueError(
                "folder",
                rule="hold images of at most 8 bits a channel",
                got=f"mode {image.mode!r} in {path}",
                way_out="Convert it.",
            )
        if size is None and opened and image.size != opened[0].size:
            raise ArgumentValueError(
                "image_size",
                rule="be given where images differ in size",
                got=f"width and height {opened[0].size} in {paths[0]} and {image.size} in {path}",
                way_out="Pass the side in pixels.",
            )
        opened.append(image if size is None else image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    mode = "L" if all(image.mode == "L" for image in opened) else "RGB"
    arrays = [np.asarray(image.convert(mode)).reshape(image.height, image.width, -1) for image in opened]
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
