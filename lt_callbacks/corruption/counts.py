from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError

#: How class sizes fall from the head (rank 0) to the tail (rank C-1).
PROFILES = ("exponential", "step", "none")

# `pow` may differ in its last bits between platforms. A size this close below a whole number is that number.
ROUNDING_SLACK = 1e-9


def class_counts(
    n_max: int, num_classes: int, *, imbalance_factor: float, profile: str = "exponential"
) -> NDArray[np.int64]:
    """Class sizes of a long-tailed set, by rank: the head first.

    Args:
        n_max: Size of the head class, in samples, in [1, 2**53].
        num_classes: C >= 2.
        imbalance_factor: Head size over tail size, >= 1. A multiplier such as 0.01 is refused: that is factor 100.
        profile: ``"exponential"``: rank r keeps int(n_max * factor**(-r / (C-1))); ``"step"``: the first half of the
            classes (the larger half if C is odd) keeps n_max, the others int(n_max / factor); ``"none"``: all keep
            n_max, and the factor must be 1.

    Returns:
        (C,) int64, not increasing. A size is 0 where ``imbalance_factor`` exceeds ``n_max``.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number is out of range, ``profile`` is unknown, or a factor goes with profile ``"none"``.

    Reference: Cui et al. 2019, "Class-balanced loss based on effective number of samples" (exponential); Cao et al.
    2019, "Learning imbalanced datasets with label-distribution-aware margin loss" (step).

    Example:
        >>> class_counts(5000, 10, imbalance_factor=100)
        array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    """
    # Larger numbers are not exact as floats, and still larger ones no int64.
    n_max = integer("n_max", n_max, at_least=1, at_most=2**53)
    num_classes = integer("num_classes", num_classes, at_least=2)
    profile, factor = checked_profile(profile, imbalance_factor)
    rank = np.arange(num_classes)
    if profile == "exponential":
        sizes = n_max * factor ** (-rank / (num_classes - 1))
    else:
        sizes = np.where(rank < (num_classes + 1) // 2, n_max, n_max / factor)
    # Of a large size that share would be whole samples.
    return np.floor(sizes + np.minimum(sizes * ROUNDING_SLACK, 0.1)).astype(np.int64)


def checked_profile(
    profile: str, factor: float, *, profile_name: str = "profile", factor_name: str = "imbalance_factor"
) -> tuple[str, float]:
    """Profile and factor of an imbalance, after a check that both are valid and go together."""
    profile = one_of(profile_name, profile, PROFILES)
    factor = real(
        factor_name, factor, at_least=1, hint="It is head size over tail size: pass 100 for a multiplier of 0.01."
    )
    if profile == "none" and factor != 1:
        raise ArgumentValueError(
            factor_name,
            rule=f"be 1 with `{profile_name}` 'none'",
            got=f"{factor:g}",
            way_out="Choose profile 'exponential' or 'step' for a long tail.",
        )
    return profile, factor
