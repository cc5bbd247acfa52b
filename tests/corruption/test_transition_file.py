from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lt_callbacks.corruption.transition_file import load_transition

MATRIX = np.array([[0.9, 0.1], [0.25, 0.75]])


def load(path: Path) -> np.ndarray:
    return load_transition(path, num_classes=2, num_samples=3)


def test_matrix_from_npy_and_csv(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX.astype("float32"))
    (tmp_path / "a.csv").write_text("0.9, 0.1\n\n0.25,0.75\n")
    np.testing.assert_allclose(load(tmp_path / "a.npy"), MATRIX, atol=1e-7)
    np.testing.assert_allclose(load(tmp_path / "a.csv"), MATRIX)


def test_one_row_a_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", MATRIX[[0, 1, 1]])
    np.testing.assert_allclose(load(tmp_path / "rows.npy"), MATRIX[[0, 1, 1]])


def test_refuses(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`transition_file` must be a file; got '.*missing.npy'"):
        load(tmp_path / "missing.npy")
    with pytest.raises(
        ValueError, match=r"`transition_file` must be one of '.npy', '.csv'; got '.pt'\. The kind of 'a.pt'"
    ):
        load(tmp_path / "a.pt")
    (tmp_path / "header.csv").write_text("cat,dog\n0.9,0.1\n")
    (tmp_path / "ragged.csv").write_text("0.9,0.1\n1\n")
    np.save(tmp_path / "object.npy", np.array([None]), allow_pickle=True)
    np.savez(tmp_path / "zip.npz", a=MATRIX)
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    for name in ("header.csv", "ragged.csv", "object.npy", "zip.npy"):
        with pytest.raises(ValueError, match=rf"`transition_file` must hold a matrix of numbers; got '{name}': "):
            load(tmp_path / name)
    for name, content in (("wide.npy", np.full((3, 3), 1 / 3)), ("flat.npy", np.array([0.5, 0.5]))):
        np.save(tmp_path / name, content)
        with pytest.raises(ValueError, match=rf"one column for each of the 2 classes; got shape .* in '{name}'"):
            load(tmp_path / name)
    np.save(tmp_path / "long.npy", np.full((4, 2), 0.5))
    with pytest.raises(
        ValueError, match=r"`transition_file` must have shape \(C, C\) or one row a sample \(3, C\).*\(4, 2\)"
    ):
        load(tmp_path / "long.npy")
    np.save(tmp_path / "cleanlab.npy", MATRIX.T)
    with pytest.raises(
        ValueError,
        match=r"`transition_file` must have rows that sum to 1 .*got 1.15 for row 0 in 'cleanlab.npy'\. A cleanlab .*`.T`",
    ):
        load(tmp_path / "cleanlab.npy")
