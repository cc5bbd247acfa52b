# Legend: C classes.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

GROUPS = ("many", "medium", "few")


def class_groups(class_counts: Any, *, thresholds: Sequence[float] | None = None) -> dict[str, Tensor]:
    """Which classes have many, a medium number of, and few training samples.

    By thirds of the classes, sorted by count; classes of equal count keep the order of their numbers. ``many`` and
    ``few`` have round(C / 3) classes each and ``medium`` the rest: 3, 4, 3 of ten, 33, 34, 33 of a hundred. Thirds fit
    any data set; fixed thresholds leave groups empty where all classes are small or large.

    Args:
        class_counts: (C,) tensor, array or sequence: TRUE classes in the training set, finite and >= 0.
        thresholds: ``(low, high)`` in samples instead of thirds: more than ``high`` is many, ``low`` to ``high``
            medium, fewer than ``low`` few. ``(20, 100)`` is the rule of ImageNet-LT.

    Returns:
        ``"many"``, ``"medium"``, ``"few"`` -> class numbers, int64, ascending. A group without a class has no key.

    Raises:
        TypeError: ``class_counts`` are no real numbers.
        ValueError: ``class_counts`` is not one non-negative number a class, or ``thresholds`` is not an ordered pair.

    Reference: the thresholds are those of Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019
    (arXiv 1904.05160), section 4.

    Example:
        >>> class_groups([5, 100, 30])
        {'many': tensor([1]), 'medium': tensor([2]), 'few': tensor([0])}
    """
    counts = _checked_counts(class_counts)
    if thresholds is None:
        order = torch.argsort(counts, descending=True, stable=True)
        outer = round(len(counts) / 3)
        members = {"many": order[:outer], "medium": order[outer : len(counts) - outer]}
        members["few"] = order[len(counts) - outer :]
    else:
        low, high = _checked_thresholds(thresholds)
        many, few = counts > high, counts < low
        members = {"many": many.nonzero()[:, 0], "medium": (~many & ~few).nonzero()[:, 0], "few": few.nonzero()[:, 0]}
    return {name: members[name].sort().values for name in GROUPS if len(members[name])}


def _checked_counts(class_counts: Any) -> Tensor:
    try:
        counts = torch.as_tensor(class_counts)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise _no_counts(type(class_counts).__name__) from error
    if counts.is_complex():
        raise _no_counts(str(counts.dtype))
    counts = counts.detach().to(device="cpu", dtype=torch.float64)
    if counts.ndim != 1 or len(counts) == 0:
        raise ArgumentValueError(
            "class_counts",
            rule="have shape (C,)",
            got=str(tuple(counts.shape)),
            way_out="Pass the number of training samples of each class.",
        )
    wrong = ~(torch.isfinite(counts) & (counts >= 0))
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise ArgumentValueError(
            "class_counts",
            rule="be finite and >= 0",
            got=f"{float(counts[first])} for class {first}",
            way_out="Pass the number of training samples of each class.",
        )
    return counts


def _no_counts(got: str) -> ArgumentTypeError:
    way_out = "Pass the number of training samples of each class."
    return ArgumentTypeError("class_counts", rule="be (C,) real numbers", got=got, way_out=way_out)


def _checked_thresholds(thresholds: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(threshold) for threshold in thresholds)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high:
        raise ArgumentValueError(
            "thresholds",
            rule="be two numbers of samples, 0 <= low <= high",
            got=repr(thresholds),
            way_out="Pass (20, 100) for ImageNet-LT, or None for thirds of the classes.",
        )
    return low, high
