from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._array_file import read_npz
from lt_callbacks._checks import as_path, class_range_hint
from lt_callbacks._errors import ArgumentFileError, ArgumentTypeError, ArgumentValueError, DataError
from lt_callbacks.corruption.labels import checked_labels
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import channel_statistics

_WAY_OUT = "Write it with np.savez(path, train_images=..., train_labels=..., test_images=..., test_labels=...)."


def arrays(*, path: str | os.PathLike[str], crop_padding: int | None = None, flip: bool = True) -> Source:
    """Your own images from one ``.npz`` file (MedMNIST's files are such).

    Entries: ``train_images`` (N, H, W) or (N, H, W, channels) uint8, 1 to 4 channels last; ``train_labels`` (N,) or
    (N, 1) integer in 0..C-1, every class at least once; ``test_images`` and ``test_labels`` likewise, or neither;
    optionally ``class_names`` (C,) strings, or bytes in UTF-8, no two alike. Mean and deviation are those of the
    training images. Nothing is unpickled, and every byte is held against the file's checksums. A file that would unpack
    to more than 100 times its size and more than 1 GiB is refused; ``LT_CALLBACKS_MAX_NPZ_GIB`` in the environment sets
    another number of GiB.

    Args:
        path: The file.
        crop_padding: Pixels that training crops move by at most; None: an eighth of the height (4 for 32).
        flip: Whether training images are mirrored. Set False where that changes the meaning: digits, text.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError, ValueError: The file is damaged or unpacks to too much, an entry is missing or has another shape or
            dtype, a label is out of range, or a class has no training image.
    """
    file = as_path("path", path)
    if not file.is_file():
        raise ArgumentFileError("path", rule="be an .npz file", got=f"{file}, which is none", way_out=_WAY_OUT)
    try:
        content = read_npz(file)
    except DataError as error:
        raise ArgumentValueError(
            "path",
            rule="be a whole .npz file without pickles",
            got=f"{file}, which is not ({error})",
            way_out=_WAY_OUT,
        ) from error

    images, train = _part(content, "train", file)
    test = _part(content, "test", file)[1] if "test_images" in content or "test_labels" in content else None
    names = _class_names(content["class_names"]) if "class_names" in content else None
    num_classes = int(train.labels.max()) + 1 if names is None else len(names)
    _check_range("train_labels", train.labels, num_classes)
    _check_every_class(train.labels, num_classes)
    if test is not None:
        _check_range("test_labels", test.labels, num_classes)
    mean, std = channel_statistics(images)
    return Source(
        name=file.stem,
        train=train,
        test=test,
        class_names=tuple(str(number) for number in range(num_classes)) if names is None else names,
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
    images = _channels_first(content[f"{part}_images"], f"{part}_images")
    labels = _labels(content[f"{part}_labels"], f"{part}_labels")
    if len(images) != len(labels):
        raise ArgumentValueError(
            f"{part}_labels",
            rule=f"be as many as `{part}_images`, {len(images)}",
            got=str(len(labels)),
            way_out="Write one label for each image.",
        )
    return images, ImageSet(images=images, labels=labels)


def _labels(labels: np.ndarray, name: str) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "f" and labels.ndim == 1 and not np.isfinite(labels).all():
        at = int(np.argmin(np.isfinite(labels)))
        raise ArgumentValueError(
            name, rule="be class numbers", got=f"{labels[at]} at position {at}", way_out="Remove unlabelled images."
        )
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ArgumentTypeError(
            name,
            rule="be integers of shape (N,) or (N, 1)",
            got=f"{labels.dtype}, shape {labels.shape}",
            way_out=(
                "Write labels.argmax(axis=1) in place of one-hot rows."
                if labels.ndim == 2
                else "Write class numbers as labels.astype(np.int64)."
            ),
        )
    return checked_labels(name, labels, hint="Remove unlabelled images.")


def _class_names(names: np.ndarray) -> tuple[str, ...]:
    """The names as text, no two alike."""
    if names.ndim != 1:
        raise ArgumentValueError(
            "class_names", rule="have shape (C,)", got=f"shape {names.shape}", way_out="Write np.array(['cat', 'dog'])."
        )
    try:
        texts = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist())
    except UnicodeDecodeError as error:
        raise ArgumentValueError(
            "class_names",
            rule="be strings, or bytes in UTF-8",
            got=repr(error.object),
            way_out="Write np.array(['cat', 'dog']).",
        ) from error
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise ArgumentValueError(
            "class_names", rule="differ from each other", got=f"{twice!r} twice", way_out="Rename one of the two."
        )
    return texts


def _check_range(name: str, labels: np.ndarray, num_classes: int) -> None:
    if labels.max() >= num_classes:
        at = int(labels.argmax())
        raise ArgumentValueError(
            name,
            rule=f"be in 0..{num_classes - 1}, the classes of `train_labels` or `class_names`",
            got=f"{labels[at]} at position {at}",
            way_out=class_range_hint(
                int(labels.min()),
                int(labels.max()),
                num_classes,
                otherwise="Name every class, and add training images of it.",
            ),
        )


def _check_every_class(labels: np.ndarray, num_classes: int) -> None:
    missing = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if len(missing):
        raise ArgumentValueError(
            "train_labels",
            rule=f"hold at least one image of each of the {num_classes} classes",
            got=f"none of class {', '.join(map(str, missing[:20]))}",
            way_out=class_range_hint(
                int(labels.min()),
                int(labels.max()),
                num_classes - 1,
                otherwise="Add images, or number the classes without gaps.",
            ),
        )


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
