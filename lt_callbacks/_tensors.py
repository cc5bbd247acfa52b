"""Checks of tensors with one message form: kinds, and values where reading them makes no host wait. Torch only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks._checks import class_range_hint
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


def kind_of(value: object) -> str:
    """What an argument is, for a message: a tensor's dtype, and its layout if it is sparse; anything else's class."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return str(value.dtype) if value.layout == torch.strided else f"{value.dtype} as {value.layout}"


def is_integer(value: object) -> bool:
    """Whether ``value`` is a tensor of integers; a bool is none."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def check_floating(name: str, value: Any, *, rule: str = "be a floating tensor", way_out: str = "") -> None:
    """Refuse what is no floating tensor: an array, a list, integers."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout != torch.strided:
        no_tensor = "Pass `torch.as_tensor(...)`."
        raise ArgumentTypeError(
            name, rule=rule, got=kind_of(value), way_out=way_out or ("" if isinstance(value, Tensor) else no_tensor)
        )


def check_integers(name: str, value: Any, *, rule: str = "be a tensor of integers", way_out: str) -> None:
    """Refuse what is no tensor of integers: an array, a list, a mask, probabilities."""
    if not is_integer(value):
        raise ArgumentTypeError(name, rule=rule, got=kind_of(value), way_out=way_out)


def can_be_read(values: Tensor) -> bool:
    """Whether looking at the values makes no host wait for a device and breaks no graph that is being traced."""
    return values.is_cpu and not torch.compiler.is_compiling()


def check_range(name: str, numbers: Tensor, *, below: int, way_out: str, ignored: int | None = None) -> bool:
    """Refuse integers outside of [0, ``below``) by position; whether some are ``ignored``, which is let by.

    On a device nothing is looked at, and the answer is True where there could be some: there it is the kernels that
    stop at a number out of range.

    Args:
        name: The argument's name in messages.
        numbers: (N,) int64.
        below: Number of classes, or of samples.
        way_out: Of every number but labels 1..C.
        ignored: A number that may stand for none; None: no such number.
    """
    if not can_be_read(numbers):
        return ignored is not None
    if not numbers.numel():
        return False
    least, greatest = (int(end) for end in numbers.aminmax())
    if least >= 0 and greatest < below:
        # Every step comes here: what is out of range need not be looked for among what is not.
        return ignored is not None and 0 <= ignored < below and bool((numbers == ignored).any())
    is_wrong = (numbers < 0) | (numbers >= below)
    if ignored is not None:
        is_wrong &= numbers != ignored
        if not bool(is_wrong.any()):
            return True
        least = int(numbers[numbers != ignored].min())
    at = int(is_wrong.long().argmax())
    raise ArgumentValueError(
        name,
        rule=f"lie in 0..{below - 1}",
        got=f"{int(numbers[at])} at position {at}",
        way_out=class_range_hint(least, greatest, below, otherwise=way_out),
    )
