from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._arrays import as_array
from lt_callbacks._checks import class_range_hint
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


def integer_array(name: str, values: ArrayLike, *, hint: str = "") -> NDArray[np.int64]:
    """Return ``values`` as a new (N,) int64 array after checking that they are integers >= 0.

    Floats are refused rather than rounded: a column of probabilities passed for labels must not go unnoticed.

    Args:
        name: The argument's name in messages.
        values: (N,) of any integer dtype, N >= 0.
        hint: Way out, added to every message.

    Raises:
        TypeError: The dtype is not an integer.
        ValueError: The shape is not (N,), or a value is negative.
    """
    array = as_array(name, values, rule="be integers", way_out=hint)
    if array.ndim != 1:
        raise ArgumentValueError(name, rule="have shape (N,)", got=f"shape {array.shape}", way_out=hint)
    if array.size and array.dtype.kind not in "iu":
        raise ArgumentTypeError(name, rule="be integers", got=f"dtype {array.dtype}", way_out=hint)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        where = int(np.argmax(array))
        rule = f"be <= {np.iinfo(np.int64).max}"
        raise ArgumentValueError(name, rule=rule, got=f"{array[where]} at index {where}", way_out=hint)
    result = array.astype(np.int64)
    if result.size and result.min() < 0:
        where = int(np.argmin(result))
        raise ArgumentValueError(name, rule="be >= 0", got=f"{result[where]} at index {where}", way_out=hint)
    return result


def checked_labels(
    name: str, values: ArrayLike, *, num_classes: int | None = None, hint: str = ""
) -> NDArray[np.int64]:
    """Return ``values`` as a new (N,) int64 array of labels, N >= 1, below ``num_classes`` where that is given.

    Raises:
        TypeError: The dtype is not an integer.
        ValueError: The shape is not (N,), the array is empty, or a label is out of range.
    """
    labels = integer_array(name, values, hint=hint)
    if labels.size == 0:
        raise ArgumentValueError(name, rule="hold at least one label", got="none", way_out=hint)
    if num_classes is not None and labels.max() >= num_classes:
        where = int(np.argmax(labels))
        raise ArgumentValueError(
            name,
            rule=f"be in 0..{num_classes - 1}",
            got=f"{labels[where]} at index {where}",
            way_out=class_range_hint(int(labels.min()), int(labels.max()), num_classes, otherwise=hint),
        )
    return labels
