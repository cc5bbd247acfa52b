from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._checks import class_range_hint
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.corruption.counts import checked_profile, class_counts
from lt_callbacks.corruption.hashing import hashed_uniform
from lt_callbacks.corruption.labels import checked_labels, integer_array


def longtail_indices(
    labels: ArrayLike,
    *,
    imbalance_factor: float,
    seed: int,
    profile: str = "exponential",
    class_order: Sequence[int] | None = None,
) -> NDArray[np.int64]:
    """Positions of the samples that a long-tailed subset keeps.

    Within a class, samples queue in the order of their hashed number and the first ones stay. The set of a larger
    factor is therefore a subset of the set of a smaller one, and results over factors are paired.

    The head is the first class of ``class_order``; its size is the profile's ``n_max``. The class at rank r keeps
    the smaller of the profile's count for rank r and what it has: a class that is scarce already is left whole, one
    that is larger than the head is cut. Factor 1 and profile ``"none"`` add no imbalance and keep every sample.

    Args:
        labels: (N,) integer. True labels of the whole set.
        imbalance_factor: Head size over tail size, >= 1.
        seed: >= 0.
        profile: ``"exponential"``, ``"step"`` or ``"none"``; see :func:`class_counts`.
        class_order: (C,) the classes from head to tail, each once; default 0..C-1, C being the largest label plus 1.

    Returns:
        (K,) int64, ascending positions in ``labels``.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number is out of range, ``class_order`` is not a permutation, or a class has no sample, in the
            data or left.

    Example:
        >>> labels = np.repeat([0, 1, 2], 100)
        >>> np.bincount(labels[longtail_indices(labels, imbalance_factor=100, seed=0)])
        array([100,  10,   1])
    """
    order = None if class_order is None else _checked_order(class_order)
    labels = checked_labels("labels", labels, num_classes=None if order is None else len(order))
    profile, factor = checked_profile(profile, imbalance_factor)
    if labels.max() >= len(labels):
        # Counting so many classes could take all memory.
        some_class = int(np.setdiff1d(np.arange(len(labels) + 1), labels)[0])
        raise ArgumentValueError(
            "labels",
            rule="hold at least one sample of every class",
            got=f"none of class {some_class}, and {labels.max()} as the largest of {len(labels)} labels",
            way_out="Add samples, or renumber the classes without gaps.",
        )
    available = np.bincount(labels, minlength=0 if order is None else len(order))
    if order is None:
        order = np.arange(len(available))
    if available.min() == 0:
        raise ArgumentValueError(
            "labels",
            rule="hold at least one sample of every class",
            got=f"none of class {int(np.argmin(available))} (of {len(available)})",
            way_out=class_range_hint(
                int(labels.min()),
                int(labels.max()),
                len(available) - 1,
                otherwise="Add samples, or renumber the classes without it.",
            ),
        )
    keep = _kept_counts(available, order, factor=factor, profile=profile)

    number = hashed_uniform(np.arange(len(labels)), seed=seed, purpose="imbalance/keep")
    queue = np.lexsort((number, labels))  # by class, then by number; equal numbers by position
    place_in_class = np.arange(len(labels)) - np.repeat(np.cumsum(available) - available, available)
    return np.sort(queue[place_in_class < keep[labels[queue]]]).astype(np.int64)


def _kept_counts(
    available: NDArray[np.int64], order: NDArray[np.int64], *, factor: float, profile: str
) -> NDArray[np.int64]:
    """(C,) how many samples each class keeps at most, by class."""
    # Without an imbalance to add, nothing is cut to the head's size.
    n_max = int(available.max() if factor == 1 else available[order[0]])
    by_rank = class_counts(n_max, len(order), imbalance_factor=factor, profile=profile)
    if by_rank[-1] == 0:
        rank = int(np.argmin(by_rank))
        raise ArgumentValueError(
            "imbalance_factor",
            rule="leave at least one sample in every class",
            got=f"{factor:g}, which leaves class {order[rank]} with none (the head, class {order[0]}, has {n_max})",
            way_out=f"Use at most {n_max}.",
        )
    keep = np.empty_like(by_rank)
    keep[order] = by_rank
    return keep


def _checked_order(class_order: Sequence[int]) -> NDArray[np.int64]:
    order = integer_array("class_order", class_order)
    if len(order) < 2 or not np.array_equal(np.sort(order), np.arange(len(order))):
        raise ArgumentValueError(
            "class_order",
            rule="hold each of 0..C-1 once, C >= 2",
            got=str(order.tolist()),
            way_out="Put the head class first.",
        )
    return order
