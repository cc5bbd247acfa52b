# Legend: V views, B batch, C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks.adsa.moments import rows_with_nonfinite


def checked_batch(
    logits: Any, intended_class: Any, weight: Any, *, num_classes: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits (V, B, C), intended classes (B,) and weights (B,) on one device, of the right kind and shape.

    Kinds and shapes only: nothing is read from a device.

    Raises:
        TypeError: Logits or weights that are not real numbers, classes that are not integers.
        ValueError: Shapes disagree.
    """
    logits, intended_class = _tensor("logits", logits), _tensor("intended_class", intended_class)
    if not logits.is_floating_point():
        raise TypeError(f"`logits` must be floating; got {logits.dtype}. Pass the outputs before the softmax.")
    views = logits[None] if logits.ndim == 2 else logits
    if views.ndim != 3 or views.shape[2] != num_classes or len(views) == 0:
        raise ValueError(
            f"`logits` must have shape (B, {num_classes}) or (V, B, {num_classes}) as `class_prior` has {num_classes} "
            f"entries; got {tuple(logits.shape)}. Classes come last."
        )
    is_integer = not (intended_class.is_floating_point() or intended_class.is_complex())
    if intended_class.numel() and (intended_class.dtype == torch.bool or not is_integer):  # [] has no dtype of its own
        raise TypeError(
            f"`intended_class` must be integers; got {intended_class.dtype}. Pass class numbers, not one-hot rows."
        )
    _check_length("intended_class", intended_class, views)
    if weight is not None:
        weight = _tensor("weight", weight)
        if weight.is_complex():
            raise TypeError(f"`weight` must be real; got {weight.dtype}. Leave it out to weight all alike.")
        _check_length("weight", weight, views)
        weight = weight.to(views.device)
    return views, intended_class.to(views.device).long(), weight


def check_values(views: Tensor, intended_class: Tensor, weight: Tensor | None) -> None:
    """Refuse the first image that cannot be used, by position; reads from the device.

    Raises:
        ValueError: A logit is not finite, a class is out of range, or a weight is not finite and >= 0.
    """
    position = _first(rows_with_nonfinite(views))
    if position is not None:
        raise ValueError(
            f"`logits` must be finite; got NaN or an infinity for image {position}. "
            "Find what overflows in its forward pass, or run it in float32."
        )
    num_classes = views.shape[2]
    position = _first((intended_class < 0) | (intended_class >= num_classes))
    if position is not None:
        raise ValueError(
            f"`intended_class` must lie in 0..{num_classes - 1}; got {int(intended_class[position])} for image "
            f"{position}. It numbers the classes as the columns of `logits` do."
        )
    position = None if weight is None else _first(~(weight.isfinite() & (weight >= 0)))
    if weight is not None and position is not None:
        raise ValueError(
            f"`weight` must be finite and >= 0; got {float(weight[position])} for image {position}. "
            "Leave it out to weight all alike."
        )


def _tensor(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`{name}` must be a tensor; got {type(values).__name__}. Pass `torch.as_tensor(...)`."
        ) from error


def _check_length(name: str, values: Tensor, views: Tensor) -> None:
    if values.shape != views.shape[1:2]:
        raise ValueError(
            f"`{name}` must have shape ({views.shape[1]},), one entry an image; got {tuple(values.shape)}. "
            "Logits of several views are (V, B, C): an image counts once."
        )


def _first(is_wrong: Tensor) -> int | None:
    positions = is_wrong.nonzero()
    return int(positions[0]) if len(positions) else None
