from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError
from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.corruption.labels import integer_array

#: Increment of splitmix64: 2**64 divided by the golden ratio, odd.
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def hashed_uniform(positions: ArrayLike, *, seed: int, purpose: str) -> NDArray[np.float64]:
    """One uniform number for each sample, a function of (seed, purpose, position) and of nothing else.

    A generator would tie a sample's number to how many samples come before it and to the library's version. A hash
    gives a sample the same number in every subset, order and process, which is what makes corrupted sets nested.

    Args:
        positions: (N,) integer >= 0. Identities of the samples: their positions in the original data set.
        seed: >= 0, of any size.
        purpose: What the numbers decide. Two purposes give independent numbers.

    Returns:
        (N,) float64 in [0, 1), multiples of 2**-53; the same bits on every platform.

    Raises:
        TypeError: ``positions`` or ``seed`` is not an integer, or ``purpose`` no text.
        ValueError: One of them is negative, or ``positions`` is not (N,).

    Reference: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (splitmix64); its finaliser
    is applied twice, keyed each time by 64 bits of the SHA-256 of seed and purpose.

    Example:
        >>> hashed_uniform([7], seed=0, purpose="noise/flip") == hashed_uniform([3, 7], seed=0, purpose="noise/flip")[1]
        array([ True])
    """
    seed = integer("seed", seed, at_least=0)
    if not isinstance(purpose, str):
        way_out = "Say in a word what the numbers decide."
        raise ArgumentTypeError("purpose", rule="be text", got=repr(purpose), way_out=way_out)
    counter = integer_array("positions", positions).astype(np.uint64)
    digest = sha256(canonical_json([seed, purpose]))
    start, key = (np.uint64(int(digest[first : first + 16], 16)) for first in (0, 16))
    bits = _mix64(_mix64(counter * GOLDEN_GAMMA + start) ^ key)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: a bijection of 64-bit words; array arithmetic wraps modulo 2**64."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
