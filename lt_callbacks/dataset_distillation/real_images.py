# Legend: N training samples, C classes, K images wanted a class.
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import class_range_hint, integer, real
from lt_callbacks._counter_random import random_bits, stream_key
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.data import LongTailedDataModule


@dataclass(frozen=True, kw_only=True, eq=False)
class RealImages:
    """The training images that a distilled set is made from, with the labels that were given to them.

    Attributes:
        pixels: (N, channels, H, W) uint8, in memory.
        labels: (N,) int64 given labels.
        class_names: C strings.
        mean: One a channel, of pixels scaled to [0, 1].
        std: One a channel, > 0, of the same pixels.

    Raises:
        TypeError: Pixels or labels of another type.
        ValueError: Lengths that disagree, a name that is there twice, a label or statistic out of range, or a class
            without a training image.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, Tensor) or self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise ArgumentTypeError(
                "pixels",
                rule="be uint8 (N, channels, H, W)",
                got=_described(self.pixels),
                way_out="Distillation needs the images in memory: decode files into the source `arrays`.",
            )
        if not isinstance(self.labels, Tensor) or self.labels.dtype != torch.int64:
            raise ArgumentTypeError(
                "labels", rule="be int64 (N,)", got=_described(self.labels), way_out="Pass class indices 0..C-1."
            )
        if self.labels.shape != (len(self.pixels),):
            raise ArgumentValueError(
                "labels", rule=f"be one a sample, ({len(self.pixels)},)", got=f"shape {tuple(self.labels.shape)}"
            )
        self._check_names()
        self._check_labels()
        self._check_statistics()
        missing = [self.class_names[label] for label in (self.class_counts == 0).nonzero().flatten().tolist()]
        if missing:
            raise ArgumentValueError(
                "labels",
                rule="hold every class, since each gets distilled images",
                got=f"none of {missing[:10]}",
                way_out="Lower the imbalance, or leave these classes out.",
            )

    def _check_names(self) -> None:
        # What a distilled set asks for: better refused before it is made than after.
        if len(self.class_names) < 2 or len(set(self.class_names)) < len(self.class_names):
            raise ArgumentValueError(
                "class_names",
                rule="be at least two different names",
                got=str(list(self.class_names)),
                way_out="Name every class once.",
            )

    def _check_labels(self) -> None:
        outside = ((self.labels < 0) | (self.labels >= self.num_classes)).nonzero().flatten()
        if len(outside):
            at = int(outside[0])
            raise ArgumentValueError(
                "labels",
                rule=f"be in 0..{self.num_classes - 1}, there are {self.num_classes} `class_names`",
                got=f"{int(self.labels[at])} at position {at}",
                way_out=class_range_hint(
                    int(self.labels.min()),
                    int(self.labels.max()),
                    self.num_classes,
                    otherwise="Name every class, from class 0 on.",
                ),
            )

    def _check_statistics(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.pixels.shape[1]:
                raise ArgumentValueError(
                    name,
                    rule=f"have one value a channel, {self.pixels.shape[1]}",
                    got=str(len(values)),
                    way_out="Pass a tuple, of pixels scaled to [0, 1].",
                )
        for value in self.mean:
            real("mean", value, at_least=0.0, at_most=1.0)
        for value in self.std:
            real("std", value, above=0.0)

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """(1, channels, 1, 1) mean and std beside the pixels: made once, a batch would wait for the device."""
        with torch.inference_mode(False):  # else no later batch could carry a gradient
            mean, std = (torch.tensor(values, device=self.pixels.device) for values in (self.mean, self.std))
            return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    @property
    def num_classes(self) -> int:
        """C, the number of class names."""
        return len(self.class_names)

    @property
    def class_counts(self) -> Tensor:
        """(C,) int64 samples by given label."""
        return torch.bincount(self.labels.cpu(), minlength=self.num_classes)

    @classmethod
    def of(cls, datamodule: LongTailedDataModule, *, device: torch.device | str = "cpu") -> RealImages:
        """The images that a datamodule trains on, without its held-out share, with their given labels.

        Raises:
            TypeError: Its images are files.
        """
        source = datamodule.source
        positions = datamodule.manifest.indices[datamodule.train_indices]
        if not isinstance(source.train.images, Tensor):
            raise ArgumentTypeError(
                "data",
                rule="hold its images in memory to be distilled",
                got=f"{source.name!r}, which has image files",
                way_out="Decode them into an .npz file for the source `arrays`.",
            )
        return cls(
            pixels=source.train.images[torch.tensor(positions)].to(device),
            labels=torch.tensor(datamodule.given_labels[datamodule.train_indices]).to(device),
            class_names=tuple(source.class_names),
            mean=tuple(source.mean),
            std=tuple(source.std),
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """(B, channels, H, W) uint8 pixels, or float ones in [0, 1], to what networks see, float32."""
        scaled = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
        mean, std = (values.to(pixels.device) for values in self._statistics)
        return (scaled - mean) / std

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images and labels, in order; the last batch may be smaller."""
        integer("batch_size", batch_size, at_least=1)
        for start in range(0, len(self.pixels), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalised(self.pixels[part]), self.labels[part]

    def draw(self, images_per_class: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Random samples of every class, a function of ``seed``.

        A class with fewer than ``images_per_class`` samples gives all of them, in random order, again and again.

        Returns:
            (C * K,) positions, (C * K,) classes in label order, and (C,) how many of a class's images are repeats; on
            the CPU.
        """
        images_per_class = integer("images_per_class", images_per_class, at_least=1)
        seed = integer("seed", seed, at_least=0)
        positions = torch.arange(len(self.labels))
        order = torch.argsort(random_bits(positions, stream_key("draw real images", seed=seed)), stable=True)
        shuffled = self.labels.cpu()[order]
        chosen = []
        for label in range(self.num_classes):
            own = order[shuffled == label]
            chosen.append(own[torch.arange(images_per_class) % len(own)])
        classes = torch.arange(self.num_classes).repeat_interleave(images_per_class)
        return torch.cat(chosen), classes, (images_per_class - self.class_counts).clamp(min=0)


def _described(values: object) -> str:
    return f"{values.dtype}, shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__


def as_json(counts: Tensor) -> list[int]:
    """Class counts as a list of integers, which is how a set's provenance holds them."""
    return [int(count) for count in np.asarray(counts)]
