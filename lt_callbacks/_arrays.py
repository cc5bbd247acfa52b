"""Arrays, lists and tensors of a caller as numpy arrays; what cannot be one is refused by name. Numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._errors import ArgumentTypeError

_CANNOT_BE_ONE = (TypeError, ValueError, RuntimeError, OverflowError)


def as_array(name: str, values: Any, *, rule: str = "be an array", way_out: str = "") -> NDArray[Any]:
    """``values`` as an array of any dtype.

    Raises:
        TypeError: Rows of several lengths, or a tensor that is on a GPU, in bfloat16 or part of a graph.
    """
    try:
        return np.asarray(values)
    except _CANNOT_BE_ONE as error:
        way_out = way_out or "Pass an array, or a tensor as `tensor.detach().cpu().numpy()`."
        raise ArgumentTypeError(name, rule=rule, got=type(values).__name__, way_out=way_out) from error


def as_floats(name: str, values: Any, *, rule: str = "be real numbers", way_out: str = "") -> NDArray[np.float64]:
    """``values`` as a new float64 array; None is NaN.

    Raises:
        TypeError: Not real numbers: text is not read, and no imaginary part is dropped.
    """
    found = as_array(name, values, rule=rule, way_out=way_out)
    if found.dtype.kind in "biufO":
        try:
            return found.astype(np.float64)
        except _CANNOT_BE_ONE:
            pass
    got = f"dtype {found.dtype}" if found.dtype.kind != "O" else type(values).__name__
    raise ArgumentTypeError(name, rule=rule, got=got, way_out=way_out)
