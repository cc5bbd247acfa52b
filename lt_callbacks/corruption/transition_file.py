from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._array_file import read_npy
from lt_callbacks._checks import as_path, one_of
from lt_callbacks._errors import ArgumentError, ArgumentFileError, ArgumentValueError
from lt_callbacks.corruption.transitions import checked_transition

SUFFIXES = (".npy", ".csv")


def load_transition(path: str | os.PathLike[str], *, num_classes: int, num_samples: int) -> NDArray[np.float64]:
    """Read a user's transition: one matrix, or one row for each sample of the full original training set.

    Args:
        path: ``.npy``, or ``.csv`` with commas and no header.
        num_classes: C.
        num_samples: N, size of the full original training set.

    Returns:
        (C, C) or (N, C) float64, rows sum to 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, or what it holds is not such a transition.
    """
    path = as_path("transition_file", path)
    one_of("transition_file", path.suffix, SUFFIXES, hint=f"The kind of {path.name!r} is told from its suffix.")
    if not path.is_file():
        raise ArgumentFileError("transition_file", rule="be a file", got=repr(str(path)), way_out="Check the path.")
    try:
        if path.suffix == ".csv":
            rows = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
            matrix = np.array(rows, dtype=np.float64)
        else:
            matrix = read_npy(path).astype(np.float64)
    except (OSError, TypeError, ValueError) as error:
        raise ArgumentValueError(
            "transition_file",
            rule="hold a matrix of numbers",
            got=f"{path.name!r}: {error}",
            way_out="Write it again with `numpy.save(path, matrix)`.",
        ) from error
    if matrix.ndim != 2 or matrix.shape[1] != num_classes:
        raise ArgumentValueError(
            "transition_file",
            rule=f"have one column for each of the {num_classes} classes",
            got=f"shape {matrix.shape} in {path.name!r}",
            way_out="Entry (i, j) is the probability of given label j for row i.",
        )
    try:
        return checked_transition(matrix, num_samples=num_samples, name="transition_file")
    except ArgumentError as error:
        raise type(error)(
            error.argument, rule=error.rule, got=f"{error.got} in {path.name!r}", way_out=error.way_out
        ) from error
