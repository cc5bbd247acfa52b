from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from lt_callbacks.corruption import NOISE_KINDS, Imbalance, Noise
from lt_callbacks.corruption.settings import checked_settings


def test_defaults_change_nothing() -> None:
    assert dataclasses.asdict(Imbalance()) == {"profile": "exponential", "factor": 1.0, "class_order": None}
    assert set(dataclasses.asdict(Noise()).values()) == {"none", 0.0, None}


def test_values_take_one_form() -> None:
    assert Imbalance(factor=10, class_order=[np.int64(1), 0]) == Imbalance(factor=10.0, class_order=(1, 0))
    assert isinstance(Imbalance(factor=np.float32(10)).factor, float)
    assert Noise(kind="human", given_labels_file=Path("a.npy")).given_labels_file == "a.npy"
    assert Noise(kind="custom", transition_file="t.csv").transition_file == "t.csv"


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_every_kind_can_be_set(kind: str) -> None:
    files = {"human": {"given_labels_file": "a.npz", "given_labels_key": "k"}, "custom": {"transition_file": "t.npy"}}
    ratio = 0.0 if kind in ("none", *files) else 0.4
    assert Noise(kind=kind, ratio=ratio, **files.get(kind, {})).kind == kind  # type: ignore[arg-type]


def test_settings_are_keyword_only_and_frozen() -> None:
    with pytest.raises(TypeError):
        Noise("symmetric")  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Imbalance().factor = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"profile": "exp"}, ValueError, r"`profile` must be one of 'exponential', 'step', 'none'; got 'exp'"),
        (
            {"factor": 0.99},
            ValueError,
            r"`factor` must be a finite number >= 1; got 0.99\. It is head size over tail size",
        ),
        ({"factor": None}, TypeError, r"`factor` must be a finite number >= 1; got None"),
        ({"profile": "none", "factor": 10}, ValueError, r"`factor` must be 1 with `profile` 'none'; got 10"),
        (
            {"profile": "none", "class_order": [0, 1]},
            ValueError,
            r"`class_order` must be left out with profile 'none'.*\[0, 1\]",
        ),
        ({"class_order": [0, 1.5]}, TypeError, r"`class_order` must be an integer >= 0; got 1.5"),
    ],
)
def test_imbalance_refuses(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Imbalance(**settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"kind": "symmetrical"},
            ValueError,
            r"`kind` must be one of .*; got 'symmetrical'\. Did you mean 'symmetric'\?",
        ),
        ({"kind": "symmetric", "ratio": 1.0}, ValueError, r"`ratio` must be a finite number >= 0 and < 1; got 1.0"),
        ({"kind": "symmetric", "ratio": -0.2}, ValueError, r"`ratio` must be a finite number >= 0 and < 1; got -0.2"),
        ({"kind": "symmetric", "ratio": True}, TypeError, r"`ratio` must be .*; got True"),
        ({"ratio": 0.4}, ValueError, r"`ratio` must be 0 with kind 'none', which has no ratio; got 0.4"),
        (
            {"kind": "human", "ratio": 0.4, "given_labels_file": "a.npy"},
            ValueError,
            r"`ratio` must be 0 with kind 'human'",
        ),
        (
            {"kind": "human"},
            ValueError,
            r"`given_labels_file` must be given with kind 'human' .*; got None with kind 'human'",
        ),
        (
            {"kind": "custom"},
            ValueError,
            r"`transition_file` must be given with kind 'custom' .*; got None with kind 'custom'",
        ),
        (
            {"given_labels_file": "a.npy"},
            ValueError,
            r"`given_labels_file` must be given .*; got 'a.npy' with kind 'none'",
        ),
        (
            {"kind": "human", "given_labels_file": "a.npy", "transition_file": "t.npy"},
            ValueError,
            r"`transition_file` must be",
        ),
        ({"given_labels_key": "k"}, ValueError, r"`given_labels_key` must be left out with kind 'none'; got 'k'"),
    ],
)
def test_noise_refuses(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Noise(**settings)


@pytest.mark.parametrize("order", [3, "012", 1.5])
def test_an_order_of_classes_is_a_sequence(order: object) -> None:
    with pytest.raises(
        TypeError, match=r"^`class_order` must be a sequence of classes; got .* Put the head class first"
    ):
        Imbalance(class_order=order)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "way_out"),
    [
        ({"kind": "symmetric", "ratio": 0.4}, "Pass `Noise(kind='symmetric', ratio=0.4)` of lt_callbacks.corruption."),
        ("symmetric", "Pass `Noise(...)` of lt_callbacks.corruption."),
        ({1: 2}, "Pass `Noise(...)` of lt_callbacks.corruption."),
        (Imbalance(), "Pass `Noise(...)` of lt_callbacks.corruption."),
    ],
)
def test_a_dictionary_of_settings_is_refused_with_the_call_that_takes_it(value: object, way_out: str) -> None:
    message = f"`noise` must be a Noise; got {value!r}. {way_out}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        checked_settings("noise", value, Noise)
    with pytest.raises(TypeError, match="^`imbalance` must be an Imbalance; got {'factor': 5}. Pass `Imbalance"):
        checked_settings("imbalance", {"factor": 5}, Imbalance)
    assert checked_settings("noise", noise := Noise(), Noise) is noise
