from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.corruption import corrupt_labels, hashed_uniform, transition_matrix

NUM_SAMPLES = 40_000
LABELS = (np.arange(NUM_SAMPLES) * 7) % 10
PRIOR = np.array([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50])
KINDS = ["symmetric", "symmetric_inclusive", "pair_flip", "asymmetric", "class_frequency"]


def matrix_of(kind: str, ratio: float) -> np.ndarray:
    return transition_matrix(kind, 10, ratio=ratio, class_prior=PRIOR if kind == "class_frequency" else None)


def expected_rate(kind: str, ratio: float) -> float:
    return ratio * {"symmetric_inclusive": 0.9, "asymmetric": 0.5}.get(kind, 1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("kind", KINDS)
def test_realised_rate_is_within_three_standard_errors(kind: str, ratio: float, seed: int) -> None:
    given = corrupt_labels(LABELS, matrix_of(kind, ratio), seed=seed)
    rate = expected_rate(kind, ratio)
    per_class = matrix_of(kind, ratio).diagonal()
    standard_error = np.sqrt((per_class * (1 - per_class)).mean() / NUM_SAMPLES)
    assert abs(np.mean(given != LABELS) - rate) < 3 * standard_error


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_of_the_matrix_is_realised(kind: str) -> None:
    matrix = matrix_of(kind, 0.4)
    given = corrupt_labels(LABELS, matrix, seed=0)
    realised = np.bincount(LABELS * 10 + given, minlength=100).reshape(10, 10) / (NUM_SAMPLES / 10)
    standard_error = np.sqrt(matrix * (1 - matrix) / (NUM_SAMPLES / 10))
    assert (np.abs(realised - matrix) <= 4 * standard_error).all()
    assert (realised[matrix == 0] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_at_a_small_ratio_is_wrong_the_same_way_at_a_larger_one(kind: str) -> None:
    runs = [corrupt_labels(LABELS, matrix_of(kind, ratio), seed=5) for ratio in (0.1, 0.2, 0.4, 0.7)]
    for less, more in zip(runs, runs[1:], strict=False):
        wrong = less != LABELS
        assert np.array_equal(less[wrong], more[wrong])
        assert np.sum(more != LABELS) > np.sum(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_slow_reference_one_sample_at_a_time(kind: str) -> None:
    labels, matrix = LABELS[:500], matrix_of(kind, 0.6)
    positions = np.arange(500) * 3 + 11
    flip = hashed_uniform(positions, seed=2, purpose="noise/flip")
    destination = hashed_uniform(positions, seed=2, purpose="noise/destination")
    expected = []
    for label, decide, pick in zip(labels, flip, destination, strict=True):
        given = int(label)
        if decide < 1 - matrix[label, label]:
            mass = 0.0
            for other in range(10):
                if other != label:
                    mass += matrix[label, other] / (1 - matrix[label, label])
                    if pick < mass:
                        given = other
                        break
        expected.append(given)
    assert corrupt_labels(labels, matrix, seed=2, positions=positions).tolist() == expected


def test_a_sample_keeps_its_noise_in_a_subset() -> None:
    whole = corrupt_labels(LABELS, matrix_of("symmetric", 0.4), seed=0)
    kept = np.array([5, 17, 1999, 39_999, 300])
    part = corrupt_labels(LABELS[kept], matrix_of("symmetric", 0.4), seed=0, positions=kept)
    assert np.array_equal(part, whole[kept])


def test_one_row_a_sample_is_the_matrix_when_the_rows_are() -> None:
    matrix = matrix_of("class_frequency", 0.5)
    rows = matrix[LABELS[:3000]]
    assert np.array_equal(corrupt_labels(LABELS[:3000], rows, seed=1), corrupt_labels(LABELS[:3000], matrix, seed=1))


def test_rows_decide_for_their_own_sample() -> None:
    assert corrupt_labels([0, 0, 2, 1], [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 0]], seed=0).tolist() == [0, 2, 1, 1]
    assert corrupt_labels([0, 1, 0, 1], np.eye(2)[[0, 1, 0, 1]], seed=0).tolist() == [0, 1, 0, 1]


def test_certain_transitions() -> None:
    assert corrupt_labels([0, 1, 2], [[0, 1, 0], [0, 1, 0], [1, 0, 0]], seed=0).tolist() == [1, 1, 0]


def test_a_row_that_sums_to_almost_one_never_flips_into_nothing() -> None:
    labels = np.zeros(200_000, dtype=int)
    assert not corrupt_labels(labels, [[1 - 9e-7, 0], [0, 1]], seed=0).any()


@pytest.mark.parametrize("dtype", ["uint8", ">i4", "int64"])
def test_label_dtype_does_not_matter(dtype: str) -> None:
    expected = corrupt_labels(LABELS.tolist(), matrix_of("symmetric", 0.4), seed=0)
    given = corrupt_labels(LABELS.astype(dtype), matrix_of("symmetric", 0.4), seed=0)
    assert given.dtype == np.int64
    assert np.array_equal(given, expected)


def test_inputs_are_left_alone() -> None:
    labels, matrix = LABELS.copy(), matrix_of("symmetric", 0.4)
    corrupt_labels(labels, matrix, seed=0)
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(matrix, matrix_of("symmetric", 0.4))


def test_global_random_state_is_neither_read_nor_moved() -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(corrupt_labels(LABELS, matrix_of("symmetric", 0.4), seed=0))
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(*results)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"labels": [0, 1, 2]},
            ValueError,
            r"`labels` must be in 0..1; got 2 at index 2\. `transition` has one column a class",
        ),
        ({"labels": [0.0, 1.0]}, TypeError, r"`labels` must be integers; got dtype float64"),
        (
            {"transition": [[0.9, 0.2], [0.1, 0.8]]},
            ValueError,
            r"got 1.1 for row 0\. A cleanlab `noise_matrix` needs `.T`",
        ),
        ({"positions": [0]}, ValueError, r"`positions` must hold one position a label \(3\); got 1"),
        ({"positions": [4, 4, 1]}, ValueError, r"`positions` must be distinct; got 4 2 times"),
        ({"positions": [0, 1, -1]}, ValueError, r"`positions` must be >= 0; got -1"),
        ({"seed": None}, TypeError, r"`seed` must be an integer >= 0; got None"),
    ],
)
def test_refuses(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        corrupt_labels(**{"labels": [0, 1, 1], "transition": [[0.9, 0.1], [0.2, 0.8]], "seed": 0, **change})
