from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.corruption.hashing import hashed_uniform
from lt_callbacks.corruption.labels import checked_labels, integer_array
from lt_callbacks.corruption.transitions import checked_transition


def corrupt_labels(
    labels: ArrayLike, transition: ArrayLike, *, seed: int, positions: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Draw a given label for each sample from the row of its true label.

    Two independent hashed numbers a sample: one decides whether the label is wrong (u < 1 - T[i, i]), the other picks
    the wrong label from the rest of the row. So a label that is wrong at a small ratio is wrong at every larger one,
    and in the same way as long as the proportions among the wrong labels stay.

    Args:
        labels: (N,) integer. True labels.
        transition: (C, C), row = true class, or (N, C), one row a sample. Rows sum to 1. A square matrix is always
            read as (C, C).
        seed: >= 0.
        positions: (N,) integer >= 0, each once. Identities the numbers are hashed from; default 0..N-1. Pass the
            original positions of a subset to give its samples the noise that they have in the whole set.

    Returns:
        (N,) int64 given labels.

    Raises:
        TypeError: ``labels``, ``positions`` or ``seed`` are not integers.
        ValueError: A label is out of range, ``transition`` is not a transition matrix, or ``positions`` does not fit.

    Cost: O(N * log C) for a matrix, O(N * C) for rows.

    Example:
        >>> corrupt_labels([0, 1, 2], [[0, 1, 0], [0, 1, 0], [0, 0, 1]], seed=0)
        array([1, 1, 2])
    """
    labels = checked_labels("labels", labels)
    matrix = checked_transition(transition, num_samples=len(labels))
    num_rows, num_classes = matrix.shape
    labels = checked_labels("labels", labels, num_classes=num_classes, hint="`transition` has one column a class.")
    positions = _checked_positions(positions, len(labels))

    row = labels if num_rows == num_classes else np.arange(len(labels))
    flips = hashed_uniform(positions, seed=seed, purpose="noise/flip") < 1 - matrix[row, labels]
    number = hashed_uniform(positions, seed=seed, purpose="noise/destination")
    given = labels.copy()
    if num_rows == num_classes:
        for label in np.unique(labels[flips]):
            chosen = flips & (labels == label)
            wrong = _wrong_cdf(matrix[[label]], np.array([label]))[0]
            given[chosen] = np.searchsorted(wrong, number[chosen], side="right")
    elif flips.any():
        wrong = _wrong_cdf(matrix[flips], labels[flips])
        given[flips] = np.count_nonzero(wrong <= number[flips, None], axis=1)
    return given


def _wrong_cdf(rows: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M, C) cumulative probabilities of the labels other than ``own``; the last column is exactly 1."""
    others = rows.copy()
    others[np.arange(len(rows)), own] = 0
    cdf = np.cumsum(others, axis=1)
    return cdf / cdf[:, -1:]


def _checked_positions(positions: ArrayLike | None, num_samples: int) -> NDArray[np.int64]:
    if positions is None:
        return np.arange(num_samples)
    array = integer_array("positions", positions)
    if len(array) != num_samples:
        raise ArgumentValueError(
            "positions",
            rule=f"hold one position a label ({num_samples})",
            got=str(len(array)),
            way_out="Pass the kept positions.",
        )
    unique, count = np.unique(array, return_counts=True)
    if len(unique) != num_samples:
        raise ArgumentValueError(
            "positions",
            rule="be distinct",
            got=f"{unique[np.argmax(count)]} {count.max()} times",
            way_out="Samples that share a position would share their noise.",
        )
    return array
