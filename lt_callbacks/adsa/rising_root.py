from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_NUM_STEPS = 64
_PRECISION = 1e-10


def rising_root(function: Callable[[Tensor], Tensor], left: float, right: float) -> float:
    """Where ``function`` first rises through zero between ``left`` and ``right``, by ever finer grids.

    Args:
        function: (T,) float64 -> (T,) float64.
        left: Returned where the function is positive there already.
        right: Returned where the function is negative all along.
    """
    while right - left > _PRECISION:
        points = torch.linspace(left, right, _NUM_STEPS + 1, dtype=torch.float64)
        is_above = function(points) >= 0
        if bool(is_above[0]):
            return left
        if not bool(is_above.any()):
            return right
        first = int(is_above.nonzero()[0])
        left, right = float(points[first - 1]), float(points[first])
    return (left + right) / 2
