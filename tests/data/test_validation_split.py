from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.data.validation_split import held_out


def split(labels: np.ndarray, fraction: float, *, seed: int = 0, purpose: str = "test") -> np.ndarray:
    return held_out(labels, np.arange(len(labels)), fraction=fraction, seed=seed, purpose=purpose)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.29, 1 / 3, 0.5])
def test_every_class_gives_its_share(fraction: float):
    counts = np.array([100, 57, 20, 9, 300])
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), counts))
    chosen = split(labels, fraction)
    given = np.bincount(labels[chosen], minlength=5)
    assert (np.abs(given - fraction * counts) < 1).all()
    assert len(chosen) == round(fraction * len(labels))
    assert (np.diff(chosen) > 0).all()


def test_a_share_that_is_whole_is_given_exactly():
    labels = np.repeat(np.arange(10), 100)
    # 0.29 * 100 is 28.999999999999996 in float64
    assert np.bincount(labels[split(labels, 0.29)]).tolist() == [29] * 10


def test_small_classes_share_what_rounding_took():
    labels = np.repeat(np.arange(40), 4)
    given = np.bincount(labels[split(labels, 0.1)], minlength=40)
    assert given.sum() == 16
    assert given.max() == 1


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99, 1 - 1e-12])
def test_a_class_keeps_its_last_sample(fraction: float):
    labels = np.repeat(np.arange(4), [1, 2, 3, 500])
    left = np.delete(labels, split(labels, fraction))
    assert set(left) == {0, 1, 2, 3}


def test_nothing_is_held_out_at_zero():
    assert split(np.repeat(np.arange(3), 5), 0.0).tolist() == []


def test_classes_without_a_sample_are_no_trouble():
    labels = np.array([0, 0, 0, 0, 3, 3, 3, 3])
    assert np.bincount(labels[split(labels, 0.5)], minlength=4).tolist() == [2, 0, 0, 2]


def test_split_depends_on_identity_seed_and_purpose_alone():
    labels = np.repeat(np.arange(2), 50)
    first = split(labels, 0.2)
    np.random.seed(3)  # noqa: NPY002  # the point is that it does not matter
    np.testing.assert_array_equal(split(labels, 0.2), first)
    assert not np.array_equal(split(labels, 0.2, seed=1), first)
    assert not np.array_equal(split(labels, 0.2, purpose="other"), first)

    shuffled = np.random.default_rng(0).permutation(100)
    chosen = held_out(labels[shuffled], shuffled, fraction=0.2, seed=0, purpose="test")
    np.testing.assert_array_equal(np.sort(shuffled[chosen]), first)


def test_a_larger_share_holds_the_smaller_one():
    labels = np.repeat(np.arange(3), [60, 30, 10])
    assert set(split(labels, 0.1)) <= set(split(labels, 0.3))
