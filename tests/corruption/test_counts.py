from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.corruption import class_counts


@pytest.mark.parametrize(
    ("num_classes", "n_max", "factor", "total"),
    [
        (10, 5000, 10, 20_431),
        (10, 5000, 50, 13_996),
        (10, 5000, 100, 12_406),
        (100, 500, 10, 19_573),
        (100, 500, 20, 15_907),
        (100, 500, 50, 12_608),
        (100, 500, 100, 10_847),
    ],
)
def test_totals_of_the_published_benchmarks(num_classes: int, n_max: int, factor: float, total: int) -> None:
    counts = class_counts(n_max, num_classes, imbalance_factor=factor)
    assert counts.dtype == np.int64
    assert counts.tolist() == [int(n_max * (1 / factor) ** (c / (num_classes - 1))) for c in range(num_classes)]
    assert counts.sum() == total


def test_exponential_runs_from_head_to_head_over_factor() -> None:
    assert class_counts(5000, 10, imbalance_factor=100).tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize("factor", [10, 100, 1000, 50, 3, 7])
@pytest.mark.parametrize("num_classes", [2, 3, 4, 7, 10, 100])
def test_whole_numbers_are_not_lost_to_rounding(factor: int, num_classes: int) -> None:
    counts = class_counts(factor * 6, num_classes, imbalance_factor=factor)
    assert counts[0] == factor * 6
    assert counts[-1] == 6
    for rank, count in enumerate(
        counts.tolist()
    ):  # in exact integers: count <= n_max * factor**(-r / (C-1)) < count + 1
        limit = (factor * 6) ** (num_classes - 1)
        assert count ** (num_classes - 1) * factor**rank <= limit < (count + 1) ** (num_classes - 1) * factor**rank


@pytest.mark.parametrize(
    ("num_classes", "expected"), [(4, [100, 100, 10, 10]), (5, [100, 100, 100, 10, 10]), (2, [100, 10])]
)
def test_step(num_classes: int, expected: list[int]) -> None:
    assert class_counts(100, num_classes, imbalance_factor=10, profile="step").tolist() == expected


@pytest.mark.parametrize("profile", ["exponential", "step", "none"])
def test_factor_one_is_balanced(profile: str) -> None:
    assert class_counts(7, 3, imbalance_factor=1, profile=profile).tolist() == [7, 7, 7]


@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_larger_factors_never_keep_more(profile: str) -> None:
    counts = np.stack(
        [class_counts(500, 12, imbalance_factor=f, profile=profile) for f in (1, 1.5, 10, 20, 50, 499, 501)]
    )
    assert (np.diff(counts, axis=0) <= 0).all()
    assert (np.diff(counts, axis=1) <= 0).all()
    assert counts[-1, -1] == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"imbalance_factor": 0.01},
            ValueError,
            r"`imbalance_factor` must be a finite number >= 1; got 0.01\. .*pass 100",
        ),
        ({"imbalance_factor": float("inf")}, ValueError, r"`imbalance_factor` must be a finite number"),
        ({"imbalance_factor": "10"}, TypeError, r"`imbalance_factor` must be a finite number >= 1; got '10'"),
        (
            {"profile": "exponental"},
            ValueError,
            r"`profile` must be one of .*; got 'exponental'\. Did you mean 'exponential'\?",
        ),
        (
            {"profile": "none"},
            ValueError,
            r"`imbalance_factor` must be 1 with `profile` 'none'; got 10\. Choose profile",
        ),
        ({"n_max": 0}, ValueError, r"`n_max` must be an integer >= 1 and <= 9007199254740992; got 0"),
        ({"num_classes": 1}, ValueError, r"`num_classes` must be an integer >= 2; got 1"),
    ],
)
def test_refuses(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        class_counts(**{"n_max": 100, "num_classes": 5, "imbalance_factor": 10, **change})


@pytest.mark.parametrize("n_max", [np.int8(100), np.uint8(200), np.int32(2**31 - 1), 2**53])
def test_a_head_size_of_any_type_is_kept(n_max: int) -> None:
    sizes = class_counts(n_max, 3, imbalance_factor=4)
    assert sizes.tolist() == [int(n_max), int(n_max) // 2, int(n_max) // 4]


@pytest.mark.parametrize("n_max", [2**53 + 1, 2**63, 10**400])
def test_a_head_size_that_would_overflow_is_refused(n_max: int) -> None:
    with pytest.raises(ValueError, match=r"^`n_max` must be an integer >= 1 and <= 9007199254740992; got \d+"):
        class_counts(n_max, 3, imbalance_factor=2)
