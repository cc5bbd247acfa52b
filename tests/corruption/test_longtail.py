from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.corruption import class_counts, hashed_uniform, longtail_indices

BALANCED = np.tile(np.arange(10), 200)


def kept_counts(labels: np.ndarray, **settings: object) -> list[int]:
    return np.bincount(labels[longtail_indices(labels, seed=0, **settings)]).tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("factor", [1, 10, 100])
def test_equal_classes_follow_the_profile(profile: str, factor: float) -> None:
    expected = class_counts(200, 10, imbalance_factor=factor, profile=profile).tolist()
    assert kept_counts(BALANCED, imbalance_factor=factor, profile=profile) == expected


def test_slow_reference_first_of_each_class_by_number() -> None:
    kept = longtail_indices(BALANCED, imbalance_factor=50, seed=4)
    number = hashed_uniform(np.arange(2000), seed=4, purpose="imbalance/keep")
    expected: list[int] = []
    for label in range(10):
        queue = sorted((position for position in range(2000) if BALANCED[position] == label), key=lambda p: number[p])
        expected += queue[: int(200 * 50 ** (-label / 9) + 1e-6)]
    assert kept.tolist() == sorted(expected)
    assert kept.dtype == np.int64


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("labels", [BALANCED, np.repeat([0, 1, 2, 3], [150, 300, 90, 400])])
def test_sets_are_nested_over_the_factor(profile: str, labels: np.ndarray) -> None:
    sets = [
        set(longtail_indices(labels, imbalance_factor=f, seed=1, profile=profile).tolist()) for f in (1, 10, 50, 100)
    ]
    for larger, smaller in zip(sets, sets[1:], strict=False):
        assert smaller < larger


def test_another_seed_keeps_others_of_the_same_counts() -> None:
    first, second = (longtail_indices(BALANCED, imbalance_factor=10, seed=seed) for seed in (0, 1))
    assert np.array_equal(np.bincount(BALANCED[first]), np.bincount(BALANCED[second]))
    assert len(np.intersect1d(first, second)) < 0.9 * len(first)


def test_choice_does_not_lean_to_early_positions() -> None:
    kept = longtail_indices(np.zeros(20_000, dtype=int) + np.arange(20_000) % 2, imbalance_factor=10, seed=0)
    tail = kept[kept % 2 == 1]
    assert abs(tail.mean() - 10_000) < 3 * 20_000 / 12**0.5 / len(tail) ** 0.5


def test_class_order_names_the_head() -> None:
    assert kept_counts(np.repeat([0, 1, 2], 100), imbalance_factor=100, class_order=[1, 2, 0]) == [1, 100, 10]


def test_unequal_classes_keep_at_most_what_they_have_and_what_the_profile_gives() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 500, 3, 500])
    assert kept_counts(labels, imbalance_factor=10) == [100, 46, 3, 10]
    assert kept_counts(labels, imbalance_factor=10, class_order=[3, 1, 0, 2]) == [100, 232, 3, 500]


@pytest.mark.parametrize("profile", ["exponential", "step", "none"])
def test_without_imbalance_every_sample_stays(profile: str) -> None:
    labels = np.repeat([0, 1, 2], [10, 500, 3])
    assert np.array_equal(longtail_indices(labels, imbalance_factor=1, seed=0, profile=profile), np.arange(513))


def test_a_class_with_nothing_left_is_named() -> None:
    message = (
        r"`imbalance_factor` must leave at least one sample in every class; got 500, which leaves class 8 with none "
        r"\(the head, class 0, has 200\)\. Use at most 200\."
    )
    with pytest.raises(ValueError, match=message):
        longtail_indices(BALANCED, imbalance_factor=500, seed=0)
    assert kept_counts(BALANCED, imbalance_factor=200)[-1] == 1
    with pytest.raises(ValueError, match=r"leaves class 0 with none \(the head, class 1, has 5\)"):
        longtail_indices(np.repeat([0, 1], 5), imbalance_factor=6, seed=0, class_order=[1, 0])


@pytest.mark.parametrize("profile", ["exponential", "none"])
def test_a_class_absent_from_the_data_is_named(profile: str) -> None:
    with pytest.raises(ValueError, match=r"`labels` must hold at least one sample of every class; got none of class 1"):
        longtail_indices([0, 2, 2], imbalance_factor=1, seed=0, profile=profile)
    with pytest.raises(ValueError, match=r"got none of class 0 \(of 3\)\. They count from 1: subtract 1"):
        longtail_indices([1, 2, 2], imbalance_factor=1, seed=0, profile=profile)
    with pytest.raises(ValueError, match=r"got none of class 3 \(of 4\)"):
        longtail_indices([0, 1, 2], imbalance_factor=1, seed=0, profile="exponential", class_order=[0, 1, 2, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_order": [0, 0, 1]}, r"`class_order` must hold each of 0..C-1 once, C >= 2; got \[0, 0, 1\]"),
        ({"class_order": []}, r"`class_order` must hold each of 0..C-1 once, C >= 2; got \[\]"),
        ({"class_order": [1, 0]}, r"`labels` must be in 0..1; got 2 at index 2"),
        ({"profile": "steps"}, r"`profile` must be one of .*Did you mean 'step'"),
        ({"imbalance_factor": 0.5}, r"`imbalance_factor` must be a finite number >= 1; got 0.5"),
        ({"seed": -1}, r"`seed` must be an integer >= 0; got -1"),
    ],
)
def test_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        longtail_indices([0, 1, 2], **{"imbalance_factor": 1, "seed": 0, **change})


def test_global_random_state_is_neither_read_nor_moved() -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(longtail_indices(BALANCED, imbalance_factor=10, seed=0))
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(*results)


def test_a_class_number_beyond_all_samples_is_named_and_not_counted_up_to() -> None:
    """Counts of so many classes fit into no memory."""
    message = (
        r"^`labels` must hold at least one sample of every class; got none of class 2, and 1099511627776 as the la"
    )
    with pytest.raises(ValueError, match=message):
        longtail_indices([0, 1, 2**40], imbalance_factor=2, seed=0)
