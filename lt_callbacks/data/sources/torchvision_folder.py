from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentFileError
from lt_callbacks.data.image_set import ImageSet, Source


def torchvision_folder(
    dataset: type[Any],
    *,
    name: str,
    root: str | os.PathLike[str],
    holds: str,
    origin: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    crop_padding: int,
    flip: bool,
) -> Source:
    """A data set that torchvision has already laid out on disk; nothing is downloaded.

    Args:
        dataset: torchvision's class; it checks the files and reads them.
        name: Of the source.
        root: The folder that torchvision's ``root`` would be.
        holds: What must be in it.
        origin: Where that comes from.
        mean: As in `Source`.
        std: As in `Source`.
        crop_padding: As in `Source`.
        flip: As in `Source`.

    Raises:
        FileNotFoundError: The files are missing, or torchvision finds them damaged.
    """
    root = as_path("root", root)
    try:
        parts = [dataset(str(root), train=is_train, download=False) for is_train in (True, False)]
    # torchvision has no error type of its own: its checks raise all of these on files that are missing or cut short
    except (RuntimeError, OSError, ValueError, TypeError, AssertionError, EOFError) as error:
        raise ArgumentFileError(
            "root",
            rule=f"hold {root / holds}, whole",
            got=f"missing or damaged files ({type(error).__name__}: {error})",
            way_out=f"Put {origin} there, or run torchvision.datasets.{dataset.__name__}({str(root)!r}, download=True) "
            "once where the network can be reached.",
        ) from error
    train, test = (_image_set(part) for part in parts)
    return Source(
        name=name,
        train=train,
        test=test,
        class_names=tuple(parts[0].classes),
        mean=mean,
        std=std,
        crop_padding=crop_padding,
        flip=flip,
    )


def _image_set(part: Any) -> ImageSet:
    # torchvision keeps colour as a numpy array (N, H, W, 3) and grey as a tensor (N, H, W).
    pixels = torch.as_tensor(part.data)
    images = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return ImageSet(images=images, labels=np.asarray(part.targets, dtype=np.int64))
