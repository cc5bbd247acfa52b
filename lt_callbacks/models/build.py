from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from torch import nn

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.models.cifar_resnet import CifarResNet
from lt_callbacks.models.preact_resnet18 import PreActResNet18
from lt_callbacks.models.small_cnn import SmallCNN
from lt_callbacks.models.third_party import LIBRARIES, library_model, library_names

#: Name of one of this package's networks -> its constructor.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "small_cnn": SmallCNN,
    "resnet8_half": partial(CifarResNet, depth=8, width=32, stem_stride=2),
    "resnet20": partial(CifarResNet, depth=20),
    "resnet32": partial(CifarResNet, depth=32),
    "preact_resnet18": PreActResNet18,
}


def build_model(
    name: str, *, num_classes: int, in_channels: int = 3, head: str = "linear", width: int | None = None
) -> nn.Module:
    """A network by name, with random weights from torch's global generator.

    This package's networks have the last layer as ``head`` and ``features(images)`` before it, and take images of 8x8
    pixels and more.

    Args:
        name: ``"small_cnn"``, ``"resnet8_half"`` (ResNet-8 at half resolution, for CPUs), ``"resnet20"``,
            ``"resnet32"``, ``"preact_resnet18"``, ``"torchvision:NAME"`` or
            ``"timm:NAME"``.
        num_classes: C >= 2.
        in_channels: Channels of an image, >= 1.
        head: ``"linear"``, or ``"cosine"`` for scale * cosine logits.
        width: Channels of the first stage; None is the network's usual one (32; 16 for ResNet-20/32; 64 for
            PreAct-ResNet-18).

    Raises:
        ImportError: timm is asked for and not installed.
        ValueError: Unknown name, with near matches, or a setting out of range.

    Example:
        >>> build_model("small_cnn", num_classes=10, in_channels=1).head
        Linear(in_features=64, out_features=10, bias=True)
    """
    library, colon, _ = str(name).partition(":")
    if colon and library in LIBRARIES:
        return library_model(name, num_classes=num_classes, in_channels=in_channels, head=head, width=width)
    if not isinstance(name, str) or name not in NETWORKS:
        raise _unknown(name)
    settings = {} if width is None else {"width": width}
    return NETWORKS[name](num_classes=num_classes, in_channels=in_channels, head=head, **settings)


def _unknown(name: object) -> ArgumentValueError:
    listed = ", ".join(repr(option) for option in (*NETWORKS, *(f"{library}:NAME" for library in LIBRARIES)))
    candidates = {option: option for option in NETWORKS}
    for option in library_names("torchvision"):
        candidates.setdefault(option, f"torchvision:{option}")
        candidates[f"torchvision:{option}"] = f"torchvision:{option}"
    near = difflib.get_close_matches(str(name), candidates, n=3)
    matches = ", ".join(dict.fromkeys(repr(candidates[match]) for match in near))
    way_out = f"Near matches: {matches}." if near else "Take one of these names."
    return ArgumentValueError("name", rule=f"be one of {listed}", got=repr(name), way_out=way_out)
