"""Which network a run takes where the settings leave it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.data import Source

#: What ``model.name`` and an entry of ``networks`` read where the images are to decide.
AUTO = "auto"

#: Pixels of the longer side up to which three convolutions see enough of an image.
SMALL_PIXELS = 64

SMALL_NETWORK = "small_cnn"
#: The field's standard for photographs, and what torchvision's users compare with. Its stem halves the image twice, so
#: that 224 pixels cost about what a network made for 32 pixels would need for 56.
LARGE_NETWORK = "torchvision:resnet18"

ConfigT = TypeVar("ConfigT", TrainConfig, DistillConfig)


def network_name(name: str, image_shape: Sequence[int]) -> str:
    """The network that ``name`` means for images of a shape.

    Args:
        name: Of a network, which is given back; or ``"auto"``.
        image_shape: (channels, height, width).
    """
    if name != AUTO:
        return name
    return SMALL_NETWORK if max(image_shape[1:]) <= SMALL_PIXELS else LARGE_NETWORK


def with_network_names(config: ConfigT, source: Source) -> ConfigT:
    """The settings with every network named, as results and reports show them."""
    shape = source.image_shape
    changes: dict[str, Any] = {"model": replace(config.model, name=network_name(config.model.name, shape))}
    if isinstance(config, DistillConfig):
        changes["networks"] = [network_name(name, shape) for name in config.networks]
    return replace(config, **changes)
