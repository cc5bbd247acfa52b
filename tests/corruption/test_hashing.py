from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from lt_callbacks.corruption import hashed_uniform
from lt_callbacks.corruption.hashing import GOLDEN_GAMMA, _mix64

WORD = 2**64


def slow_mix(state: int) -> int:
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WORD
    return state ^ (state >> 31)


def slow_uniform(position: int, seed: int, purpose: str) -> float:
    digest = hashlib.sha256(json.dumps([seed, purpose], separators=(",", ":")).encode()).hexdigest()
    start, key = int(digest[:16], 16), int(digest[16:32], 16)
    return (slow_mix(slow_mix((position * 0x9E3779B97F4A7C15 + start) % WORD) ^ key) >> 11) / 2**53


def test_finaliser_gives_the_published_sequence_of_splitmix64() -> None:
    counter = np.arange(1, 6, dtype=np.uint64) * GOLDEN_GAMMA + np.uint64(1234567)
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert _mix64(counter).tolist() == published


@pytest.mark.parametrize(("seed", "purpose"), [(0, "noise/flip"), (7, "imbalance/keep"), (2**80, "")])
def test_equals_python_integers_bit_for_bit(seed: int, purpose: str) -> None:
    positions = [0, 1, 2, 49_999, 2**31, 2**62]
    expected = [slow_uniform(position, seed, purpose) for position in positions]
    assert hashed_uniform(positions, seed=seed, purpose=purpose).tolist() == expected


def test_known_values_hold_on_every_platform() -> None:
    numbers = hashed_uniform([0, 1, 2], seed=0, purpose="noise/flip")
    assert [number.hex() for number in numbers.tolist()] == KNOWN


KNOWN = ["0x1.40e035c378c28p-3", "0x1.2a60f4c81d9dap-2", "0x1.1b8a8517e4a1ap-1"]


def test_number_belongs_to_the_position_not_to_the_place_in_the_array() -> None:
    whole = hashed_uniform(np.arange(1000), seed=3, purpose="p")
    chosen = np.array([999, 5, 500])
    assert np.array_equal(hashed_uniform(chosen, seed=3, purpose="p"), whole[chosen])
    assert np.array_equal(hashed_uniform(chosen.astype(">u2"), seed=3, purpose="p"), whole[chosen])


@pytest.mark.parametrize("seed", range(4))
def test_uniform_in_the_unit_interval(seed: int) -> None:
    numbers = hashed_uniform(np.arange(100_000), seed=seed, purpose="noise/flip")
    assert numbers.dtype == np.float64
    assert 0 <= numbers.min() < 1e-3
    assert 1 - 1e-3 < numbers.max() < 1
    counts = np.bincount((numbers * 100).astype(int), minlength=100)
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    assert 99 - 4 * 198**0.5 < chi_square < 99 + 4 * 198**0.5


@pytest.mark.parametrize("other", [{"seed": 1, "purpose": "a"}, {"seed": 0, "purpose": "b"}])
def test_seeds_and_purposes_are_independent(other: dict) -> None:
    positions = np.arange(100_000)
    first, second = hashed_uniform(positions, seed=0, purpose="a"), hashed_uniform(positions, **other)
    for shift in (0, 1, 2):
        assert abs(np.corrcoef(first, np.roll(second, shift))[0, 1]) < 4 / 100_000**0.5


def test_neighbouring_positions_are_independent() -> None:
    numbers = hashed_uniform(np.arange(100_000), seed=0, purpose="a")
    for shift in (1, 2, 10):
        assert abs(np.corrcoef(numbers[shift:], numbers[:-shift])[0, 1]) < 4 / 100_000**0.5


def test_refuses_bad_seed_and_positions() -> None:
    with pytest.raises(ValueError, match=r"`seed` must be an integer >= 0; got -1"):
        hashed_uniform([0], seed=-1, purpose="p")
    with pytest.raises(TypeError, match=r"`seed` must be an integer >= 0; got 0.5"):
        hashed_uniform([0], seed=0.5, purpose="p")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`positions` must be >= 0; got -3 at index 1"):
        hashed_uniform([0, -3], seed=0, purpose="p")


def test_no_position_no_number() -> None:
    assert hashed_uniform(np.arange(0), seed=0, purpose="p").shape == (0,)


@pytest.mark.parametrize("purpose", [None, b"noise", 3, 1j])
def test_a_purpose_is_text(purpose: object) -> None:
    with pytest.raises(TypeError, match="^`purpose` must be text; got .* Say in a word what the numbers decide.$"):
        hashed_uniform([1], seed=0, purpose=purpose)  # type: ignore[arg-type]
