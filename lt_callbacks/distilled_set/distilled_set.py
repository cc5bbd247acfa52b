# Legend: N images, C classes.
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_callbacks._checks import as_path, class_range_hint, real
from lt_callbacks._errors import ArgumentError, ArgumentTypeError, ArgumentValueError
from lt_callbacks._files import canonical_json
from lt_callbacks.distilled_set import set_folder
from lt_callbacks.distilled_set.facts_file import json_values
from lt_callbacks.distilled_set.sample_index import INTEGERS
from lt_callbacks.distilled_set.tensor_bytes import sha256_of


@dataclass(frozen=True, kw_only=True, eq=False)
class DistilledSet:
    """A condensed training set: few images, each made to stand for a class.

    Tensors are copied to the CPU; do not change them in place. Two sets are equal if their ``sha256`` is.

    Args:
        images: (N, channels, H, W) uint8, or float32 in [0, 1].
        intended_class: (N,) integer in 0..C-1: the class that an image was made for. Every class has an image.
        class_names: C >= 2 different names, in the order of the classes.
        mean: One a channel, of pixels scaled to [0, 1]: what the network input is normalised with.
        std: One a channel, > 0: standard deviations that go with ``mean``.
        provenance: How the set was made, as JSON values: method, settings, seeds, hash of the training set.

    Raises:
        TypeError: A dtype is wrong, or ``provenance`` is not JSON.
        ValueError: Shapes disagree, a pixel or a class is out of range, or a class has no image.
    """

    images: Tensor
    intended_class: Tensor
    class_names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images = _checked_images(self.images)
        names = _checked_names(self.class_names)
        # Copies: the hash is that of the pixels for good, whatever the caller does with its own.
        object.__setattr__(self, "images", images.detach().to("cpu", copy=True).contiguous())
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "intended_class", _checked_classes(self.intended_class, len(images), names))
        for name, values in (("mean", self.mean), ("std", self.std)):
            object.__setattr__(self, name, _per_channel(name, values, images.shape[1]))
        object.__setattr__(self, "provenance", json_values("provenance", self.provenance))

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, DistilledSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (channels, H, W)."""
        channels, height, width = self.images.shape[1:]
        return (channels, height, width)

    @property
    def class_counts(self) -> Tensor:
        """Number of images of each class, (C,) int64."""
        return self.intended_class.bincount(minlength=self.num_classes)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of pixels, classes, class names, mean and std; provenance is a remark and not part of it.

        The same on every platform and for every format version of the files: tensors are hashed as little-endian bytes
        in C order, after the rest as JSON with sorted keys.
        """
        header = {
            "format": set_folder.FORMAT,
            "class_names": list(self.class_names),
            "mean": list(self.mean),
            "std": list(self.std),
            "dtype": str(self.images.dtype).removeprefix("torch."),
            "shape": list(self.images.shape),
        }
        return sha256_of(canonical_json(header) + b"\n", self.images, self.intended_class)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``images.safetensors`` and then ``distilled.json`` into ``folder``; returns the folder.

        Nothing is written where the folder holds this set already; its provenance then stays that of the first.

        Raises:
            ValueError: The folder holds another distilled set, a damaged one, or other images.
        """
        return set_folder.write_set(
            as_path("folder", folder),
            content_sha256=self.sha256,
            tensors={"images": self.images, "intended_class": self.intended_class},
            facts={
                "class_names": list(self.class_names),
                "mean": list(self.mean),
                "std": list(self.std),
                "num_images": len(self),
                "image_shape": list(self.image_shape),
                "dtype": str(self.images.dtype).removeprefix("torch."),
                "class_counts": self.class_counts.tolist(),
                "provenance": self.provenance,
            },
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> DistilledSet:
        """Read a distilled set that :meth:`save` wrote, every bit of it.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is truncated, was edited or is of another format version.
        """
        place = as_path("folder", folder)
        facts, tensors = set_folder.read_set(place)
        try:
            found = cls(
                images=tensors["images"],
                intended_class=tensors["intended_class"],
                class_names=facts["class_names"],
                mean=facts["mean"],
                std=facts["std"],
                provenance=facts["provenance"],
            )
        except ArgumentError as error:
            reason = f"or {set_folder.IMAGES} has in `{error.argument}` what must {error.rule}: {error.got}"
            raise set_folder.damaged(place / set_folder.FACTS, reason) from error
        if found.sha256 != facts["sha256"]:
            raise set_folder.damaged(place / set_folder.FACTS, "does not fit the images beside it")
        return found


def checked_set(distilled: DistilledSet) -> DistilledSet:
    """``distilled``, after a check that it is a :class:`DistilledSet`.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(distilled, DistilledSet):
        raise ArgumentTypeError(
            "distilled",
            rule="be a DistilledSet",
            got=type(distilled).__name__,
            way_out="Use DistilledSet.load(folder).",
        )
    return distilled


def _checked_images(images: object) -> Tensor:
    if not isinstance(images, Tensor) or images.dtype not in (torch.uint8, torch.float32):
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ArgumentTypeError(
            "images",
            rule="be a tensor of dtype uint8, or float32 in [0, 1]",
            got=str(got),
            way_out="Undo the normalisation, or scale pixels to 0..255.",
        )
    if images.ndim != 4 or 0 in images.shape:
        raise ArgumentValueError(
            "images",
            rule="have shape (N, channels, H, W), none of them 0",
            got=str(tuple(images.shape)),
            way_out="Put channels second.",
        )
    if images.dtype == torch.float32:
        # NaN compares false on both sides.
        is_wrong = ~((images >= 0) & (images <= 1)).flatten(1).all(1)
        if is_wrong.any():
            at = int(is_wrong.int().argmax())
            low, high = images[at].aminmax()
            raise ArgumentValueError(
                "images",
                rule="be finite and in [0, 1]",
                got=f"values from {float(low):g} to {float(high):g} in image {at} ({int(is_wrong.sum())} such images)",
                way_out="Undo the normalisation and clamp.",
            )
    return images


def _checked_names(class_names: object) -> tuple[str, ...]:
    if isinstance(class_names, str) or not isinstance(class_names, Sequence):
        raise ArgumentTypeError(
            "class_names", rule="be a sequence of strings", got=repr(class_names), way_out="Name every class."
        )
    wrong = next((name for name in class_names if not isinstance(name, str) or not name), None)
    if wrong is not None:
        raise ArgumentTypeError(
            "class_names", rule="be non-empty strings", got=repr(wrong), way_out="Name every class."
        )
    if len(class_names) < 2 or len(set(class_names)) < len(class_names):
        raise ArgumentValueError(
            "class_names",
            rule="be at least two different names",
            got=str(list(class_names)),
            way_out="Name every class once.",
        )
    return tuple(class_names)


def _checked_classes(intended_class: object, num_images: int, names: tuple[str, ...]) -> Tensor:
    if not isinstance(intended_class, Tensor) or intended_class.dtype not in INTEGERS:
        got = intended_class.dtype if isinstance(intended_class, Tensor) else type(intended_class).__name__
        raise ArgumentTypeError(
            "intended_class", rule="be a tensor of integers", got=str(got), way_out="Pass class indices 0..C-1."
        )
    if intended_class.shape != (num_images,):
        raise ArgumentValueError(
            "intended_class",
            rule=f"have shape ({num_images},), one class for each image",
            got=str(tuple(intended_class.shape)),
        )
    classes = intended_class.detach().to("cpu", torch.int64, copy=True)
    is_wrong = (classes < 0) | (classes >= len(names))
    if is_wrong.any():
        at = int(is_wrong.int().argmax())
        raise ArgumentValueError(
            "intended_class",
            rule=f"be in 0..{len(names) - 1}, as there are {len(names)} `class_names`",
            got=f"{int(classes[at])} at position {at}",
            way_out=class_range_hint(
                int(classes.min()), int(classes.max()), len(names), otherwise="Name every class, from class 0 on."
            ),
        )
    empty = [names[c] for c in (classes.bincount(minlength=len(names)) == 0).nonzero()[:, 0].tolist()]
    if empty:
        raise ArgumentValueError(
            "intended_class",
            rule="hold every class at least once",
            got=f"no image of {empty[0]!r} ({len(empty)} such classes)",
            way_out="Distil an image for each class, or leave the class out of `class_names`.",
        )
    return classes


def _per_channel(name: str, values: object, num_channels: int) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ArgumentTypeError(name, rule=f"be a sequence of {num_channels} numbers, one a channel", got=repr(values))
    if len(values) != num_channels:
        raise ArgumentValueError(
            name,
            rule=f"have one value a channel, {num_channels}",
            got=str(len(values)),
            way_out="Pass a tuple, of pixels scaled to [0, 1].",
        )
    if name == "std":
        return tuple(real(name, value, above=0.0) for value in values)
    return tuple(real(name, value, at_least=0.0, at_most=1.0) for value in values)
