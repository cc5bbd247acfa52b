from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError, DataError
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import channel_statistics

_WAY_OUT = "Write it with np.savez(path, train_images=..., train_labels=..., test_images=..., test_labels=...)."


def arrays(*, path: str | os.PathLike[str], crop_padding: int | None = None, flip: bool = True) -> Source:
    """Your own images from one ``.npz`` file (MedMNIST's files are such).

    Entries: ``train_images`` (N, H, W) or (N, H, W, channels) uint8, 1 to 4 channels last; ``train_labels`` (N,) or
    (N, 1) integer in 0..C-1; ``test_images`` and ``test_labels`` likewise, or neither; optionally ``class_names`` (C,)
    strings. Mean and deviation are those of the training images. Nothing is unpickled.

    Args:
        path: The file.
        crop_padding: Pixels that training crops move by at most; None: an eighth of the height (4 for 32).
        flip: Whether training images are mirrored. Set False where that changes the meaning: digits, text.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError, ValueError: An entry is missing or has another shape or dtype.
    """
    file = Path(path)
    if not file.is_file():
        raise ArgumentFileError("path", rule="be an .npz file", got=f"{file}, which is none", way_out=_WAY_OUT)
    try:
        entries = np.load(file, allow_pickle=False)
        if isinstance(entries, np.ndarray):
            raise DataError("it holds one array without a name")
        with entries:
            content = {name: entries[name] for name in entries.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArgumentValueError(
            "path",
            rule="be a whole .npz file without pickles",
            got=f"{file}, which is not ({error})",
            way_out=_WAY_OUT,
        ) from error

    images, train = _part(content, "train", file)
    has_test = "test_images" in content or "test_labels" in content
    names = content.get("class_names", np.arange(train.labels.max() + 1))
    mean, std = channel_statistics(images)
    return Source(
        name=file.stem,
        train=train,
        test=_part(content, "test", file)[1] if has_test else None,
        class_names=tuple(str(name) for name in names),
        mean=mean,
        std=std,
        crop_padding=images.shape[2] // 8 if crop_padding is None else crop_padding,
        flip=flip,
        labels_are_true=False,
    )


def _part(content: dict[str, np.ndarray], part: str, file: Path) -> tuple[Tensor, ImageSet]:
    for name in (f"{part}_images", f"{part}_labels"):
        if name not in content:
            found = ", ".join(sorted(content)) or "nothing"
            raise ArgumentValueError(name, rule=f"be in {file}", got=f"only {found}", way_out=_WAY_OUT)
    labels = content[f"{part}_labels"]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    images = _channels_first(content[f"{part}_images"], f"{part}_images")
    return images, ImageSet(images=images, labels=labels)


def _channels_first(images: np.ndarray, name: str) -> Tensor:
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or not 1 <= images.shape[3] <= 4:
        raise ArgumentValueError(
            name,
            rule="be uint8 (N, H, W) or (N, H, W, channels)",
            got=f"{images.dtype}, shape {images.shape}",
            way_out="Scale pixels to 0..255; move channels that come second with images.transpose(0, 2, 3, 1).",
        )
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
