"""Random numbers as a function of a counter: nothing is drawn from a generator, so nothing has to be restored."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

# splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), as signed 64-bit integers.
_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def stream_key(purpose: str, *, seed: int, epoch: int = 0) -> int:
    """The key of one stream of random numbers; streams of different purposes, seeds and epochs are unrelated.

    Args:
        purpose: What the numbers decide, such as ``"flip"``.
        seed: Any integer.
        epoch: Any integer.

    Returns:
        A signed 64-bit integer.
    """
    digest = hashlib.sha256(f"{purpose}/{int(seed)}/{int(epoch)}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def random_bits(counter: Tensor, key: int) -> Tensor:
    """64 random bits for every counter: output ``counter`` of splitmix64 started at ``key``.

    Integer arithmetic only, so that a CPU and a GPU agree in every bit.

    Args:
        counter: (...) int64, such as the samples' indices.
        key: From `stream_key`.

    Returns:
        (...) int64 on the same device; all 64 bits are random, so that half of the values are negative.
    """
    state = (counter + 1) * _GAMMA + key
    state = (state ^ _shift_right(state, 30)) * _MIX_1
    state = (state ^ _shift_right(state, 27)) * _MIX_2
    return state ^ _shift_right(state, 31)


def random_integers(counter: Tensor, key: int, *, bound: int) -> Tensor:
    """A random integer for every counter: (...) int64 in [0, ``bound``), uniform up to ``bound`` / 2^63."""
    return _shift_right(random_bits(counter, key), 1) % bound


def random_uniforms(counter: Tensor, key: int) -> Tensor:
    """A random number for every counter: (...) float64 in [0, 1), uniform over the multiples of 2^-53."""
    return _shift_right(random_bits(counter, key), 11).to(torch.float64) * 2.0**-53


def _shift_right(bits: Tensor, places: int) -> Tensor:
    # int64 shifts drag the sign along; splitmix64 is defined on unsigned integers.
    return (bits >> places) & ((1 << (64 - places)) - 1)
