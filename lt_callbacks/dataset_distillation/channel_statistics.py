# Legend: B batch, C classes, F channels of a layer.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError, StateError
from lt_callbacks.dataset_distillation.eval_mode import frozen_in_eval_mode
from lt_callbacks.dataset_distillation.real_images import RealImages

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and variance (over the samples and positions) of each channel.

    Attributes:
        mean: (..., F) float32.
        var: (..., F) float32, biased.
    """

    mean: Tensor
    var: Tensor

    def distance(self, other: Moments) -> Tensor:
        """Euclidean distance of the means plus that of the variances, averaged over leading dimensions; 0-d."""
        return (self.mean - other.mean).norm(dim=-1).mean() + (self.var - other.var).norm(dim=-1).mean()


class ChannelStatistics:
    """Records what reaches the batch-norm layers of a network while the block is open, for statistics matching.

    A context manager. After each forward pass ``inputs`` holds one tensor a layer, in the order of the layers.

    Args:
        network: With at least one batch-norm layer that keeps running statistics.

    Raises:
        ValueError: There is no such layer.
    """

    def __init__(self, network: nn.Module) -> None:
        self.layers = [
            module for module in network.modules() if isinstance(module, _NORMS) and module.running_mean is not None
        ]
        if not self.layers:
            raise ArgumentValueError(
                "networks",
                rule="have batch-norm layers with running statistics, which the images are matched to",
                got=f"{type(network).__name__} without one",
                way_out="Use another network, or the distiller `herding`.",
            )
        self._inputs: dict[int, Tensor] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> ChannelStatistics:
        for place, layer in enumerate(self.layers):
            self._handles.append(layer.register_forward_pre_hook(self._keep(place)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._inputs.clear()

    @property
    def inputs(self) -> list[Tensor]:
        """(B, F, ...) inputs of the layers in the last forward pass.

        Raises:
            RuntimeError: A layer was not part of it.
        """
        missing = [place for place in range(len(self.layers)) if place not in self._inputs]
        if missing:
            raise StateError(
                f"`networks` must use all their batch-norm layers in eval mode; {len(missing)} of {len(self.layers)} "
                f"saw nothing, the first of them {self.layers[missing[0]]}. Remove heads that are for training only."
            )
        return [self._inputs[place] for place in range(len(self.layers))]

    def running(self) -> list[Moments]:
        """The running statistics of the layers: those of the real training batches."""
        return [
            Moments(mean=layer.running_mean.float(), var=layer.running_var.float())  # type: ignore[union-attr]
            for layer in self.layers
        ]

    def _keep(self, place: int) -> Any:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            self._inputs[place] = arguments[0]

        return hook


def batch_moments(inputs: Tensor) -> Moments:
    """Moments over samples and positions of (B, F, ...) inputs; (F,) each."""
    values = inputs.float().transpose(0, 1).flatten(1)
    return Moments(mean=values.mean(dim=1), var=values.var(dim=1, unbiased=False))


def class_moments(inputs: Tensor, classes: Tensor, num_classes: int) -> Moments:
    """Moments by class, (C, F) each, of (B, F, ...) inputs; every class must be in the batch."""
    count, first, second = _class_sums(inputs, classes, num_classes)
    return _moments(count, first, second)


@torch.no_grad()
def real_class_moments(network: nn.Module, real: RealImages, *, batch_size: int) -> list[Moments]:
    """Moments by class of the real images at every batch-norm layer, in eval mode.

    Sums run over all real images of a class, however few: those of a small class are as rough as its sample.
    """
    sums: list[tuple[Tensor, ...]] = []
    with ChannelStatistics(network) as seen, frozen_in_eval_mode([network]):
        for images, labels in real.batches(batch_size):
            network(images)
            parts: list[tuple[Tensor, ...]] = [
                _class_sums(inputs.double(), labels, real.num_classes) for inputs in seen.inputs
            ]
            sums = [tuple(map(torch.add, *both)) for both in zip(sums, parts, strict=True)] if sums else parts
    found = [_moments(*layer) for layer in sums]
    return [Moments(mean=each.mean.float(), var=each.var.float()) for each in found]


def _class_sums(inputs: Tensor, classes: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(C, 1) samples, and (C, F) sums over a class's samples of their mean and mean square over positions."""
    values = inputs if inputs.dtype == torch.float64 else inputs.float()
    values = values.flatten(2) if values.ndim > 2 else values.unsqueeze(2)
    one_hot = torch.nn.functional.one_hot(classes, num_classes).T.to(values.dtype)
    return one_hot.sum(dim=1, keepdim=True), one_hot @ values.mean(dim=2), one_hot @ values.square().mean(dim=2)


def _moments(count: Tensor, first: Tensor, second: Tensor) -> Moments:
    mean = first / count
    return Moments(mean=mean, var=(second / count - mean.square()).clamp(min=0))


def total_distance(found: Sequence[Moments], wanted: Sequence[Moments], *, first_weight: float = 1.0) -> Tensor:
    """Sum over the layers of `Moments.distance`; the first layer counts ``first_weight`` times."""
    distances = torch.stack([a.distance(b) for a, b in zip(found, wanted, strict=True)])
    weights = torch.ones_like(distances)
    weights[0] = first_weight
    return distances @ weights
