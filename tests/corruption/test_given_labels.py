from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lt_callbacks.corruption.given_labels import load_given_labels

GIVEN = np.array([2, 0, 1, 1, 0])
CLEAN = np.array([2, 0, 0, 1, 1])


def load(path: Path, key: str | None = None) -> np.ndarray:
    return load_given_labels(path, key=key, num_classes=3, clean_labels=CLEAN)


class NotPlain:
    pass


def rewrite_modules(source: Path, target: Path, module: bytes) -> None:
    """The same torch file with numpy's functions under another module name, as another numpy release writes them."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = old.read(name)
            for known in (b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"):
                content = content.replace(known, b"c" + module + b"\n")
            new.writestr(name, content)


def test_npy_npz_and_text(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GIVEN.astype("uint8"))
    np.savez(tmp_path / "b.npz", worse_label=GIVEN, clean=np.zeros(5))
    (tmp_path / "c.txt").write_text("2\n0\n1\n1\n0\n")
    for labels in (load(tmp_path / "a.npy"), load(tmp_path / "b.npz", "worse_label"), load(tmp_path / "c.txt")):
        assert labels.dtype == np.int64
        assert labels.tolist() == GIVEN.tolist()


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_torch_files_of_tensors_and_arrays(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "human.pt"
    array = GIVEN.astype(dtype)
    for content in ({"worse_label": array}, {"worse_label": torch.from_numpy(array)}, {"worse_label": array.tolist()}):
        torch.save(content, path)
        assert load(path, "worse_label").tolist() == GIVEN.tolist()
    torch.save(torch.from_numpy(array), path)
    assert load(path).tolist() == GIVEN.tolist()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_torch_files_of_either_numpy_generation(tmp_path: Path, module: bytes) -> None:
    torch.save({"worse_label": GIVEN}, tmp_path / "own.pt")
    rewrite_modules(tmp_path / "own.pt", tmp_path / "human.pt", module)
    assert load(tmp_path / "human.pt", "worse_label").tolist() == GIVEN.tolist()


def test_the_list_of_allowed_globals_is_as_before(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    torch.save({"a": GIVEN}, tmp_path / "human.pt")
    load(tmp_path / "human.pt", "a")
    assert set(torch.serialization.get_safe_globals()) == before


def test_one_column_is_a_row_of_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GIVEN[:, None])
    assert load(tmp_path / "a.npy").tolist() == GIVEN.tolist()


def test_refuses_paths(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"`given_labels_file` must be a file; got '.*missing.npy'\. Check the path"
    ):
        load(tmp_path / "missing.npy")
    with pytest.raises(
        ValueError, match=r"`given_labels_file` must be one of '.npy', .*; got '.csv'\. The kind of 'a.csv'"
    ):
        load(tmp_path / "a.csv")


def test_refuses_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", worse_label=GIVEN, clean=GIVEN)
    np.save(tmp_path / "a.npy", GIVEN)
    with pytest.raises(
        ValueError, match=r"`given_labels_key` must be one of 'worse_label', 'clean'; got None\. 'b.npz' holds"
    ):
        load(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"got 'worst_label'\. Did you mean 'worse_label'\?"):
        load(tmp_path / "b.npz", "worst_label")
    with pytest.raises(
        ValueError, match=r"`given_labels_key` must be left out .*; got 'clean' for 'a.npy'\. Remove it"
    ):
        load(tmp_path / "a.npy", "clean")


def test_refuses_damaged_and_foreign_content(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", GIVEN)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-9])
    np.savez(tmp_path / "whole.npz", a=GIVEN)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-40])
    np.save(tmp_path / "object.npy", np.array([NotPlain()], dtype=object), allow_pickle=True)
    torch.save({"a": NotPlain()}, tmp_path / "object.pt")
    (tmp_path / "words.txt").write_text("0 one 2")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("cut.npy", "cut.npz", "object.npy", "object.pt", "words.txt", "empty.npy"):
        with pytest.raises(
            ValueError, match=rf"must be a whole file of plain arrays; got '{name}': .*numpy\.save"
        ) as caught:
            load(tmp_path / name)
        assert caught.value.__cause__ is not None
    np.savez(tmp_path / "object.npz", a=np.array([NotPlain()], dtype=object))
    with pytest.raises(ValueError, match=r"must be a whole file of plain arrays; got 'object.npz'"):
        load(tmp_path / "object.npz", "a")


def test_refuses_labels_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", GIVEN[:4])
    with pytest.raises(
        ValueError, match=r"one label for each of the 5 samples of the full original training set; got 4 in"
    ):
        load(tmp_path / "short.npy")
    np.savez(tmp_path / "range.npz", a=np.array([0, 1, 3, 1, 0]))
    with pytest.raises(
        ValueError, match=r"`given_labels_file` must be in 0..2; got 3 at index 2\. Read from 'range.npz\[a\]'"
    ):
        load(tmp_path / "range.npz", "a")
    np.save(tmp_path / "float.npy", GIVEN.astype(float))
    with pytest.raises(
        TypeError, match=r"`given_labels_file` must be integers; got dtype float64\. Read from 'float.npy'"
    ):
        load(tmp_path / "float.npy")
    np.save(tmp_path / "soft.npy", np.eye(3))
    with pytest.raises(ValueError, match=r"`given_labels_file` must have shape \(N,\); got shape \(3, 3\)"):
        load(tmp_path / "soft.npy")


def many(folder: Path, order: np.ndarray | None = None, **entries: np.ndarray) -> Path:
    """A file of 1,000 human labels of which a third are wrong, in an order of its own."""
    order = np.arange(1000) if order is None else order
    path = folder / "human.npz"
    np.savez(path, worse_label=MANY_GIVEN[order], **{name: values[order] for name, values in entries.items()})
    return path


MANY_CLEAN = np.random.default_rng(0).integers(0, 3, 1000)
MANY_GIVEN = np.where(np.arange(1000) % 3 == 0, (MANY_CLEAN + 1) % 3, MANY_CLEAN)
REVERSED = np.arange(1000)[::-1]


def load_many(path: Path, key: str | None = "worse_label") -> np.ndarray:
    return load_given_labels(path, key=key, num_classes=3, clean_labels=MANY_CLEAN)


def test_true_labels_and_positions_in_the_file_are_those_of_the_data(tmp_path: Path) -> None:
    path = many(tmp_path, clean_label=MANY_CLEAN.astype("uint8")[:, None], index=np.arange(1000))
    assert load_many(path).tolist() == MANY_GIVEN.tolist()
    torch.save({"worse_label": MANY_GIVEN, "clean_label": MANY_CLEAN}, tmp_path / "human.pt")
    assert load_many(tmp_path / "human.pt").tolist() == MANY_GIVEN.tolist()
    assert load_many(tmp_path / "human.pt", "clean_label").tolist() == MANY_CLEAN.tolist()


@pytest.mark.parametrize("name", ["clean_label", "true_labels"])
def test_refuses_a_file_in_another_order(tmp_path: Path, name: str) -> None:
    num_wrong = int((MANY_CLEAN[::-1] != MANY_CLEAN).sum())
    with pytest.raises(
        ValueError,
        match=f"`given_labels_file` must have the data's labels as its '{name}'; got 'human.npz', where {num_wrong} of "
        "1000 differ, the same in another order. Put the labels in the order of the data: CIFAR-N",
    ):
        load_many(many(tmp_path, REVERSED, **{name: MANY_CLEAN}))


def test_refuses_a_file_of_other_data(tmp_path: Path) -> None:
    other = MANY_CLEAN.copy()
    other[7] = (other[7] + 1) % 3
    with pytest.raises(ValueError, match=r"where 1 of 1000 differ\. Is the file of this data set"):
        load_many(many(tmp_path, clean_label=other))
    np.savez(tmp_path / "short.npz", worse_label=MANY_GIVEN, clean_label=MANY_CLEAN[:-1])
    with pytest.raises(ValueError, match=r"'short.npz', which has 999 of 1000. Is the file of this data set"):
        load_many(tmp_path / "short.npz")


def test_refuses_positions_in_another_order(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"must have 0, 1, 2, \.\.\. as its 'index'; .* where 1000 of 1000 differ, the same in another"
    ):
        load_many(many(tmp_path, REVERSED, index=np.arange(1000)))


def test_warns_of_labels_that_agree_by_chance(tmp_path: Path) -> None:
    np.save(tmp_path / "reversed.npy", MANY_GIVEN[::-1])
    with pytest.warns(UserWarning, match=r"of 'reversed.npy' agree with the data's in 29.4% .*no more than by chance"):
        load_many(tmp_path / "reversed.npy", None)
    np.save(tmp_path / "own.npy", MANY_GIVEN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_many(tmp_path / "own.npy", None)


def test_labels_of_one_class_say_nothing_of_their_order(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(500, dtype=np.int64))
    mostly = np.r_[np.zeros(480, dtype=np.int64), np.ones(20, dtype=np.int64)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_given_labels(tmp_path / "one.npy", num_classes=3, clean_labels=mostly)


def test_labels_that_count_from_one_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", GIVEN + 1)
    with pytest.raises(ValueError, match=r"must be in 0..2; got 3 at index 0\. They count from 1: subtract 1"):
        load(tmp_path / "one.npy")
