"""Bars and bands of one standard deviation around shares, which cannot leave 0 to 100 percent."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: What a note says where a bar or band was cut.
BARS_END, BANDS_END = "bars end at 0 and 100 %", "bands end at 0 and 100 %"


def bar_lengths(centre: ArrayLike, spread: ArrayLike) -> np.ndarray:
    """How far bars of length ``spread`` go down and up from ``centre``, ending at 0 and at 100 percent.

    Args:
        centre: (N,) percent; NaN where nothing is drawn.
        spread: (N,) percentage points, NaN where there is no bar.

    Returns:
        (2, N), as matplotlib's ``yerr``.
    """
    middle, length = np.asarray(centre, dtype=np.float64), np.asarray(spread, dtype=np.float64)
    # A mean of equal numbers can be a rounding beyond 100, and no bar has a length below 0.
    return np.maximum(np.stack([np.minimum(length, middle), np.minimum(length, 100 - middle)]), 0.0)


def is_cut(centre: ArrayLike, spread: ArrayLike) -> bool:
    """Whether any bar of length ``spread`` around ``centre`` would leave 0 to 100 percent."""
    return bool((bar_lengths(centre, spread) < np.asarray(spread, dtype=np.float64) - 1e-6).any())
