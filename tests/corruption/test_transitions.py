from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.corruption import TRANSITION_KINDS, transition_matrix
from lt_callbacks.corruption.transitions import checked_transition

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.mark.parametrize("kind", TRANSITION_KINDS)
def test_rows_are_distributions(kind: str) -> None:
    ratio = 0.0 if kind == "none" else 0.37
    prior = np.arange(1, 11) if kind == "class_frequency" else None
    matrix = transition_matrix(kind, 10, ratio=ratio, class_prior=prior)
    assert matrix.dtype == np.float64
    assert matrix.shape == (10, 10)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-15)


def test_symmetric_spreads_over_the_other_classes() -> None:
    np.testing.assert_allclose(
        transition_matrix("symmetric", 3, ratio=0.4), [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    )


@pytest.mark.parametrize(("num_classes", "wrong"), [(10, 0.36), (100, 0.396)])
def test_symmetric_inclusive_may_hit_its_own_class(num_classes: int, wrong: float) -> None:
    matrix = transition_matrix("symmetric_inclusive", num_classes, ratio=0.4)
    np.testing.assert_allclose(1 - np.diag(matrix), wrong)
    np.testing.assert_allclose(matrix[0, 1:], 0.4 / num_classes)


def test_pair_flip_goes_to_the_next_class() -> None:
    np.testing.assert_allclose(
        transition_matrix("pair_flip", 3, ratio=0.4), [[0.6, 0.4, 0], [0, 0.6, 0.4], [0.4, 0, 0.6]]
    )


def test_asymmetric_is_the_semantic_map_by_name() -> None:
    matrix = transition_matrix("asymmetric", 10, ratio=0.3)
    targets = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
    for row, name in enumerate(CIFAR10):
        expected = np.zeros(10)
        expected[row] += 0.7 if name in targets else 1.0
        if name in targets:
            expected[CIFAR10.index(targets[name])] = 0.3
        np.testing.assert_allclose(matrix[row], expected, err_msg=name)


def test_class_frequency_follows_the_others_sizes() -> None:
    expected = [[0.6, 0.3, 0.1], [0.4 * 6 / 7, 0.6, 0.4 / 7], [0.4 * 6 / 9, 0.4 * 3 / 9, 0.6]]
    for prior in ([6, 3, 1], [0.6, 0.3, 0.1]):
        np.testing.assert_allclose(transition_matrix("class_frequency", 3, ratio=0.4, class_prior=prior), expected)


@pytest.mark.parametrize("kind", ["symmetric", "symmetric_inclusive", "pair_flip", "asymmetric", "none"])
def test_ratio_zero_is_the_identity(kind: str) -> None:
    assert np.array_equal(transition_matrix(kind, 10, ratio=0), np.eye(10))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"kind": "symetric"},
            ValueError,
            r"`kind` must be one of 'symmetric', .*; got 'symetric'\. Did you mean 'symmetric'\?",
        ),
        (
            {"kind": "human"},
            ValueError,
            r"`kind` must name a noise that is one matrix; got 'human'\. .*given_labels_file=",
        ),
        ({"kind": "custom"}, ValueError, r"got 'custom'\. Pass your own matrix straight to `corrupt_labels`"),
        ({"ratio": 1}, ValueError, r"`ratio` must be a finite number >= 0 and < 1; got 1"),
        ({"ratio": -0.1}, ValueError, r"`ratio` must be a finite number >= 0 and < 1; got -0.1"),
        ({"ratio": float("nan")}, ValueError, r"`ratio` must be .*; got nan"),
        ({"ratio": "0.2"}, TypeError, r"`ratio` must be .*; got '0.2'"),
        ({"kind": "none"}, ValueError, r"`ratio` must be 0 with kind 'none'; got 0.2\. Choose a kind"),
        ({"num_classes": 1}, ValueError, r"`num_classes` must be an integer >= 2; got 1"),
        (
            {"kind": "asymmetric"},
            ValueError,
            r"`num_classes` must be 10 with kind 'asymmetric' .*; got 3\. Use 'pair_flip'",
        ),
        (
            {"kind": "class_frequency"},
            ValueError,
            r"`class_prior` must be given .*; got kind 'class_frequency' without it",
        ),
        ({"class_prior": [1, 1, 1]}, ValueError, r"`class_prior` must be given .*; got kind 'symmetric' with it"),
        (
            {"kind": "class_frequency", "class_prior": [1, 1]},
            ValueError,
            r"`class_prior` must have shape \(3,\); got shape \(2,\)",
        ),
        (
            {"kind": "class_frequency", "class_prior": [1, 0, 0]},
            ValueError,
            r"at least two positive entries; got \[1.0, 0.0, 0.0\]",
        ),
        ({"kind": "class_frequency", "class_prior": [1, -1, 2]}, ValueError, r"`class_prior` must be finite and >= 0"),
        (
            {"kind": "class_frequency", "class_prior": [1, 1, np.inf]},
            ValueError,
            r"`class_prior` must be finite and >= 0",
        ),
    ],
)
def test_refuses(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        transition_matrix(**{"kind": "symmetric", "num_classes": 3, "ratio": 0.2, **change})


def test_a_users_rows_are_scaled_to_one() -> None:
    matrix = checked_transition([[0.5, 0.5 + 5e-7], [0, 1]], num_samples=5)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-15)
    assert checked_transition(np.full((5, 3), 1 / 3), num_samples=5).shape == (5, 3)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([0.5, 0.5], r"`transition` must have shape \(C, C\) or one row a sample \(5, C\), C >= 2; got shape \(2,\)"),
        (np.full((4, 2), 0.5), r"got shape \(4, 2\)"),
        (np.ones((5, 1)), r"got shape \(5, 1\)"),
        ([[1.5, -0.5], [0, 1]], r"`transition` must be finite and >= 0; got -0.5 at \(0, 1\)"),
        ([[1, 0], [0, np.nan]], r"`transition` must be finite and >= 0; got nan at \(1, 1\)"),
        (
            np.array([[0.7, 0.2], [0.3, 0.8]]),
            r"have rows that sum to 1 \(row = true class\); got 0.9 for row 0\. A cleanlab `noise_matrix` needs `.T`",
        ),
        ([[1, 0], [0, 1.00001]], r"got 1.00001 for row 1"),
    ],
)
def test_refuses_what_is_no_transition(matrix: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_transition(matrix, num_samples=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", [5e-324, 1e-300, 1e307])
def test_a_prior_in_any_unit_gives_the_same_transition(unit: float) -> None:
    expected = transition_matrix("class_frequency", 3, ratio=0.5, class_prior=[4, 1, 3])
    found = transition_matrix("class_frequency", 3, ratio=0.5, class_prior=np.array([4.0, 1.0, 3.0]) * unit)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("given", ["prior", [[1], [2, 3]], [1j, 2, 3], ["1", "2", "3"]])
def test_a_prior_that_is_no_numbers_is_refused_by_name(given: object) -> None:
    with pytest.raises(TypeError, match="^`class_prior` must be real numbers; got .* Pass the class counts.$"):
        transition_matrix("class_frequency", 3, ratio=0.5, class_prior=given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^`transition` must be real numbers; got "):
        checked_transition(given, num_samples=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [["symmetric"], {}, None, 3])
def test_a_kind_that_is_no_name_is_refused_by_name(kind: object) -> None:
    with pytest.raises(ValueError, match="^`kind` must be one of 'symmetric'"):
        transition_matrix(kind, 3, ratio=0.5)  # type: ignore[arg-type]
