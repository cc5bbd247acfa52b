from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.dataset_distillation.real_images import RealImages, as_json
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.distilled_set.facts_file import json_values

#: Called with (steps done, steps to do) while images are made.
OnStep = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Made:
    """Distilled images as a distiller hands them back, before they become a set.

    Attributes:
        images: (N, channels, H, W) uint8, or float32 in [0, 1].
        intended_class: (N,) int64.
        num_repeated: (C,) of a class's images, how many stem from a real image that was taken before.
        facts: What else is worth keeping, as JSON holds it.
    """

    images: Tensor
    intended_class: Tensor
    num_repeated: Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Distiller(ABC):
    """Makes a few images a class of real training images, most often through networks trained on them.

    A distiller is a dataclass: its fields are its settings. It never sees a test image.
    """

    name: ClassVar[str]
    #: Whether it needs at least one trained network.
    needs_networks: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        """The distiller's settings, as JSON holds them."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def distil(
        self,
        real: RealImages,
        networks: Sequence[nn.Module],
        *,
        images_per_class: int,
        seed: int,
        provenance: Mapping[str, Any] | None = None,
        on_step: OnStep | None = None,
    ) -> DistilledSet:
        """Make the distilled set.

        Args:
            real: The training images, on the device to work on.
            networks: Trained on them, logits out, on the same device; used in eval mode and given back as they were.
            images_per_class: K >= 1.
            seed: Of all random choices.
            provenance: JSON values that go into the set's own, such as the manifest's hash.
            on_step: Is told how far it is.

        Returns:
            ``images_per_class`` uint8 images of every class, one class after the other. Its provenance has ``method``,
            ``settings``, ``images_per_class``, ``seed``, ``num_networks``, ``real_class_counts`` and ``num_repeated``.

        Raises:
            TypeError: An argument has another type.
            ValueError: A number is out of range, a network is missing, or ``provenance`` has a name of the set's own.
        """
        images_per_class = integer("images_per_class", images_per_class, at_least=1)
        seed = integer("seed", seed, at_least=0)
        self._check_networks(networks)
        facts = {
            "method": self.name,
            "settings": self.settings(),
            "images_per_class": images_per_class,
            "seed": seed,
            "num_networks": len(networks),
            "real_class_counts": as_json(real.class_counts),
        }
        # Before the work: what the set would refuse after it.
        extra = json_values("provenance", provenance or {})
        taken = sorted(extra.keys() & {*facts, "num_repeated"})
        if taken:
            raise ArgumentValueError(
                "provenance", rule="have names other than the set's own", got=repr(taken[0]), way_out="Rename it."
            )
        made = self._make(
            real, networks, images_per_class=images_per_class, seed=seed, on_step=on_step or (lambda done, total: None)
        )
        return DistilledSet(
            images=made.images.cpu(),
            intended_class=made.intended_class.cpu(),
            class_names=real.class_names,
            mean=real.mean,
            std=real.std,
            provenance={**facts, "num_repeated": as_json(made.num_repeated), **made.facts, **extra},
        )

    def _check_networks(self, networks: Sequence[nn.Module]) -> None:
        is_one = isinstance(networks, nn.Module) and not isinstance(networks, nn.ModuleList)
        if is_one or not all(isinstance(network, nn.Module) for network in networks):
            raise ArgumentTypeError(
                "networks", rule="be a sequence of modules", got=type(networks).__name__, way_out="Use a list."
            )
        if self.needs_networks and not networks:
            raise ArgumentValueError(
                "networks",
                rule=f"hold at least one trained network for the distiller {self.name!r}",
                got="none",
                way_out="Train one on the same data.",
            )

    @abstractmethod
    def _make(
        self, real: RealImages, networks: Sequence[nn.Module], *, images_per_class: int, seed: int, on_step: OnStep
    ) -> Made:
        """Make the images of a checked request."""


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
