from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._arrays import as_array
from lt_callbacks._checks import as_path, integer, real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

#: Channels of images that are read from files: always decoded to RGB.
FILE_CHANNELS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Images and their labels, in memory or as files.

    Attributes:
        images: (N, C, H, W) uint8 tensor, or N paths of image files that are decoded when a batch needs them.
        labels: (N,) int64.

    Raises:
        TypeError: ``images`` or ``labels`` have another type.
        ValueError: Lengths disagree, a label is negative, or there is no sample.
    """

    images: Tensor | tuple[Path, ...]
    labels: np.ndarray

    def __post_init__(self) -> None:
        labels = as_array("labels", self.labels, rule="be a vector of integers")
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ArgumentTypeError(
                "labels",
                rule="be a vector of integers",
                got=f"shape {labels.shape}, dtype {labels.dtype}",
                way_out="Pass class indices 0..C-1.",
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "images", _checked_images(self.images))
        if len(self.images) != len(labels):
            raise ArgumentValueError(
                "images",
                rule="be as many as `labels`",
                got=f"{len(self.images)} and {len(labels)}",
                way_out="Pass one label for each image.",
            )
        if len(labels) == 0:
            raise ArgumentValueError(
                "labels", rule="hold at least one sample", got="none", way_out="Pass the labels of the images."
            )
        if labels.min() < 0:
            at = int(labels.argmin())
            raise ArgumentValueError(
                "labels", rule="be >= 0", got=f"{labels[at]} at position {at}", way_out="Remove unlabelled samples."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: np.ndarray) -> Tensor | tuple[Path, ...]:
        """The images at ascending positions, as a tensor or as paths; no copy where that is all of them."""
        if len(positions) == len(self):
            return self.images
        if isinstance(self.images, Tensor):
            return self.images[torch.tensor(positions)]
        return tuple(self.images[position] for position in positions)

    @property
    def num_channels(self) -> int:
        """Channels of an image as the loaders give it out."""
        return int(self.images.shape[1]) if isinstance(self.images, Tensor) else FILE_CHANNELS


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A data set before imbalance and noise: what every loader of it has to know.

    Attributes:
        name: Goes into manifests, so that one is not applied to other data.
        train: Training samples.
        test: Test samples, or None.
        class_names: One name a class; their number is the number of classes.
        mean: One a channel, of pixels scaled to [0, 1].
        std: One a channel, > 0.
        crop_padding: Pixels of black border from which training views are cropped. 0: images in memory are not
            shifted; image files are cropped at random and resized (the ImageNet recipe).
        flip: Whether training views are mirrored at random. Not where mirroring changes the meaning, as in digits.
        image_size: Height and width given out, or one number for a square. None: that of the images in memory.
        labels_are_true: Whether the training labels are known to be right, as those of a benchmark are taken to be.
            False for labels of one's own: nothing then claims to know which of them are wrong.
        test_is_held_out: Whether ``test`` was taken from the training samples, so that its labels are no better than
            theirs; see `hold_out_test`.

    Raises:
        TypeError, ValueError: A field is out of its range, or the parts do not fit each other.
    """

    name: str
    train: ImageSet
    test: ImageSet | None = None
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 0
    flip: bool = False
    image_size: int | tuple[int, int] | None = None
    labels_are_true: bool = True
    test_is_held_out: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ArgumentValueError(
                "name", rule="be a non-empty string", got=repr(self.name), way_out="Name the data set."
            )
        for name, part in (("train", self.train), ("test", self.test)):
            if not isinstance(part, ImageSet) and not (name == "test" and part is None):
                way_out = "Pass ImageSet(images=..., labels=...)."
                raise ArgumentTypeError(name, rule="be an ImageSet", got=type(part).__name__, way_out=way_out)
        if isinstance(self.class_names, str) or not isinstance(self.class_names, Iterable):
            way_out = "Pass one name a class, in the order of the labels."
            raise ArgumentTypeError(
                "class_names", rule="be a sequence of names", got=repr(self.class_names), way_out=way_out
            )
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        object.__setattr__(self, "image_size", self._checked_size())
        integer("crop_padding", self.crop_padding, at_least=0)
        if not isinstance(self.flip, bool):
            raise ArgumentTypeError(
                "flip", rule="be True or False", got=repr(self.flip), way_out="Mirror images, or do not."
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            object.__setattr__(self, name, _per_channel(name, values, self.train.num_channels))
        self._check_labels("train", self.train)
        if self.test is not None:
            self._check_labels("test", self.test)
            if _kind(self.train) != _kind(self.test):
                raise ArgumentValueError(
                    "test",
                    rule=f"hold images like `train`'s, {_kind(self.train)}",
                    got=_kind(self.test),
                    way_out="Convert one of the two.",
                )

    @property
    def scored_on(self) -> str:
        """What an accuracy on ``test`` is a percentage of, in words."""
        is_doubtful = self.test_is_held_out and not self.labels_are_true
        return "held-out training samples by their given labels" if is_doubtful else "the test set"

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image in a batch: (channels, height, width)."""
        height, width = self.image_size  # type: ignore[misc]  # a pair since __post_init__
        return (self.train.num_channels, height, width)

    def _checked_size(self) -> tuple[int, int]:
        images, size = self.train.images, self.image_size
        stored = (images.shape[2], images.shape[3]) if isinstance(images, Tensor) else None
        if size is None:
            if stored is None:
                raise ArgumentValueError(
                    "image_size", rule="be given for image files", got="None", way_out="Pass the side in pixels."
                )
            return stored
        pair = tuple(size) if isinstance(size, Sequence) else (size, size)
        if len(pair) != 2:
            raise ArgumentValueError(
                "image_size", rule="be one number or (height, width)", got=repr(size), way_out="Pass pixels."
            )
        height, width = (integer("image_size", side, at_least=1) for side in pair)
        if stored not in (None, (height, width)):
            raise ArgumentValueError(
                "image_size",
                rule=f"be that of the images in memory, {stored}",
                got=str((height, width)),
                way_out="Leave it out, or resize the images.",
            )
        return (height, width)

    def _check_labels(self, name: str, part: ImageSet) -> None:
        if part.labels.max() >= self.num_classes:
            at = int(part.labels.argmax())
            raise ArgumentValueError(
                name,
                rule=f"have labels below the number of `class_names`, {self.num_classes}",
                got=f"{part.labels[at]} at position {at}",
                way_out="Name every class, or count classes from 0.",
            )


def checked_source(source: object) -> Source:
    """``source`` where it is one; anything else is refused by name."""
    if isinstance(source, Source):
        return source
    raise ArgumentTypeError(
        "source",
        rule="be a Source",
        got=repr(source) if isinstance(source, str) else type(source).__name__,
        way_out="Pass one of lt_callbacks.data, such as `digits()` or `image_folder(root=...)`.",
    )


def _checked_images(images: object) -> Tensor | tuple[Path, ...]:
    if isinstance(images, Tensor):
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ArgumentTypeError(
                "images",
                rule="be a uint8 tensor (N, C, H, W)",
                got=f"{images.dtype}, shape {tuple(images.shape)}",
                way_out="Scale pixels to 0..255 and put channels second.",
            )
        return images.detach().cpu().contiguous()
    if isinstance(images, Sequence) and not isinstance(images, str):
        wrong = next((path for path in images if not isinstance(path, str | os.PathLike)), None)
        if wrong is None:
            return tuple(as_path("images", path) for path in images)
        images = wrong
    raise ArgumentTypeError(
        "images",
        rule="be a uint8 tensor (N, C, H, W) or a sequence of file paths",
        got=type(images).__name__,
        way_out="Use torch.from_numpy(array) for an array.",
    )


def _per_channel(name: str, values: Sequence[float], num_channels: int) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ArgumentTypeError(
            name, rule="have one value a channel", got=repr(values), way_out="Pass a tuple, of pixels scaled to [0, 1]."
        )
    checked = tuple(
        real(name, value, above=0.0) if name == "std" else real(name, value, at_least=0.0, at_most=1.0)
        for value in values
    )
    if len(checked) != num_channels:
        raise ArgumentValueError(
            name,
            rule=f"have one value a channel, {num_channels}",
            got=str(len(checked)),
            way_out="Pass a tuple, of pixels scaled to [0, 1].",
        )
    return checked


def _kind(part: ImageSet) -> str:
    return f"tensors {tuple(part.images.shape[1:])}" if isinstance(part.images, Tensor) else "files"
