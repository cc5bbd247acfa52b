from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._arrays import as_floats
from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError

#: Noise types that are a function of the class and a ratio.
TRANSITION_KINDS = ("symmetric", "symmetric_inclusive", "pair_flip", "asymmetric", "class_frequency", "none")

#: CIFAR-10: truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog.
CIFAR10_SEMANTIC_MAP = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}

NOT_A_MATRIX = {
    "human": "Human labels are a file, not a matrix: use `Noise(kind='human', given_labels_file=...)`.",
    "custom": "Pass your own matrix straight to `corrupt_labels`, or use `Noise(kind='custom', transition_file=...)`.",
}

# A user's rows may be rounded to six decimals; they are scaled to 1 before use.
ROW_SUM_TOLERANCE = 1e-6


def transition_matrix(
    kind: str, num_classes: int, *, ratio: float, class_prior: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Label noise as a matrix: entry (i, j) is the probability of given label j when the true label is i.

    Args:
        kind: ``"symmetric"``: to each other class alike, so ``ratio`` of the labels is wrong;
            ``"symmetric_inclusive"``: with probability ``ratio`` a redraw from all C classes, the own one included,
            so ratio * (1 - 1/C) is wrong (DivideMix, ELR, TABASCO);
            ``"pair_flip"``: i to i + 1 modulo C;
            ``"asymmetric"``: CIFAR-10's look-alikes, truck -> automobile, bird -> airplane, deer -> horse,
            cat <-> dog, where ``ratio`` of these five classes is wrong;
            ``"class_frequency"``: to the other classes in proportion to ``class_prior``, ``ratio`` of each class wrong;
            ``"none"``: the identity; ``ratio`` must be 0.
        num_classes: C >= 2; 10 for ``"asymmetric"``.
        ratio: In [0, 1).
        class_prior: (C,) >= 0, at least two positive; counts or probabilities. For ``"class_frequency"`` only.

    Returns:
        (C, C) float64, rows sum to 1.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: ``kind`` is unknown or not a matrix, a number is out of range, or an argument does not belong to
            ``kind``.

    Reference: Patrini et al. 2017, "Making deep neural networks robust to label noise" (asymmetric); Han et al. 2018,
    "Co-teaching" (pair flip); Wei et al. 2021, "Robust long-tailed learning under label noise" (class frequency).

    Example:
        >>> transition_matrix("pair_flip", 3, ratio=0.25)
        array([[0.75, 0.25, 0.  ],
               [0.  , 0.75, 0.25],
               [0.25, 0.  , 0.75]])
    """
    if isinstance(kind, str) and kind in NOT_A_MATRIX:
        raise ArgumentValueError(
            "kind", rule="name a noise that is one matrix", got=repr(kind), way_out=NOT_A_MATRIX[kind]
        )
    kind = one_of("kind", kind, TRANSITION_KINDS)
    num_classes = integer("num_classes", num_classes, at_least=2)
    ratio = real("ratio", ratio, at_least=0, below=1)
    if kind == "none" and ratio != 0:
        raise ArgumentValueError(
            "ratio", rule="be 0 with kind 'none'", got=f"{ratio:g}", way_out="Choose a kind of noise."
        )
    if (class_prior is None) == (kind == "class_frequency"):
        raise ArgumentValueError(
            "class_prior",
            rule="be given with kind 'class_frequency' and with no other",
            got=f"kind {kind!r} {'without' if class_prior is None else 'with'} it",
            way_out="Pass the class counts, or leave it out.",
        )
    identity = np.eye(num_classes)
    return (1 - ratio) * identity + ratio * _destinations(kind, num_classes, class_prior)


def _destinations(kind: str, num_classes: int, class_prior: ArrayLike | None) -> NDArray[np.float64]:
    """(C, C) where the labels that are hit go, by true class; rows sum to 1."""
    identity = np.eye(num_classes)
    if kind == "symmetric":
        return (1 - identity) / (num_classes - 1)
    if kind == "symmetric_inclusive":
        return np.full((num_classes, num_classes), 1 / num_classes)
    if kind == "pair_flip":
        return np.roll(identity, 1, axis=1)
    if kind == "asymmetric":
        if num_classes != 10:
            raise ArgumentValueError(
                "num_classes",
                rule="be 10 with kind 'asymmetric' (CIFAR-10's classes)",
                got=str(num_classes),
                way_out="Use 'pair_flip', or pass your own matrix to `corrupt_labels`.",
            )
        return identity[[CIFAR10_SEMANTIC_MAP.get(label, label) for label in range(num_classes)]]
    if kind == "class_frequency":
        others = np.where(identity == 1, 0.0, _checked_prior(class_prior, num_classes))
        with np.errstate(over="ignore"):
            totals = np.cumsum(others, axis=1)[:, -1:]
        if not (np.isfinite(totals).all() and totals.min() > np.finfo(np.float64).tiny):
            # In any other unit the proportions are the same, but not the last bits of usual ones.
            others = others / others.max(axis=1, keepdims=True)
            totals = np.cumsum(others, axis=1)[:, -1:]
        return others / totals
    return identity


def _checked_prior(class_prior: ArrayLike | None, num_classes: int) -> NDArray[np.float64]:
    prior = as_floats("class_prior", class_prior, way_out="Pass the class counts.")
    if prior.shape != (num_classes,):
        raise ArgumentValueError(
            "class_prior", rule=f"have shape ({num_classes},)", got=f"shape {prior.shape}", way_out="One count a class."
        )
    if not np.isfinite(prior).all() or prior.min() < 0 or np.count_nonzero(prior) < 2:
        raise ArgumentValueError(
            "class_prior",
            rule="be finite and >= 0 with at least two positive entries",
            got=str(prior.tolist()),
            way_out="Pass the class counts.",
        )
    return prior


def checked_transition(transition: ArrayLike, *, num_samples: int, name: str = "transition") -> NDArray[np.float64]:
    """Return ``transition`` as float64, rows scaled to sum to exactly 1, after checking shape and rows.

    Raises:
        TypeError: Not real numbers.
        ValueError: The shape is neither (C, C) nor (num_samples, C), an entry is negative or not finite, or a row does
            not sum to 1 within 1e-6.
    """
    matrix = as_floats(name, transition, way_out="Entry (i, j) is the probability of given label j for row i.")
    if matrix.ndim != 2 or matrix.shape[1] < 2 or matrix.shape[0] not in (matrix.shape[1], num_samples):
        raise ArgumentValueError(
            name,
            rule=f"have shape (C, C) or one row a sample ({num_samples}, C), C >= 2",
            got=f"shape {matrix.shape}",
            way_out="Entry (i, j) is the probability of given label j for row i.",
        )
    bad = ~np.isfinite(matrix) | (matrix < 0)
    if bad.any():
        row, column = (int(first) for first in np.argwhere(bad)[0])
        raise ArgumentValueError(
            name,
            rule="be finite and >= 0",
            got=f"{matrix[row, column]:g} at ({row}, {column})",
            way_out="Entries are probabilities.",
        )
    total = np.cumsum(matrix, axis=1)[:, -1:]  # summed in order: the same bits on every platform
    wrong = np.abs(total[:, 0] - 1) > ROW_SUM_TOLERANCE
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ArgumentValueError(
            name,
            rule="have rows that sum to 1 (row = true class)",
            got=f"{total[row, 0]:.6g} for row {row}",
            way_out="A cleanlab `noise_matrix` needs `.T`.",
        )
    return matrix / total
