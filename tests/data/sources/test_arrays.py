from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lt_callbacks.data import arrays


def entries(**changes: object) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    content = {
        "train_images": random.integers(0, 256, (6, 16, 9, 3), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": random.integers(0, 256, (2, 16, 9, 3), dtype=np.uint8),
        "test_labels": np.array([2, 0]),
    }
    content.update(changes)
    return {name: value for name, value in content.items() if value is not None}


def save(folder: Path, **changes: object) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **entries(**changes))
    return path


def test_colour_images_are_read_channels_first(tmp_path: Path):
    source = arrays(path=save(tmp_path))
    assert source.name == "mine"
    assert source.image_shape == (3, 16, 9)
    np.testing.assert_array_equal(source.train.images.permute(0, 2, 3, 1).numpy(), entries()["train_images"])
    assert source.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert source.test.labels.tolist() == [2, 0]
    assert source.class_names == ("0", "1", "2")
    assert (source.crop_padding, source.flip) == (2, True)
    expected = entries()["train_images"].reshape(-1, 3).mean(axis=0) / 255
    np.testing.assert_allclose(source.mean, expected, atol=1e-4)


def test_grey_images_columns_of_labels_and_names(tmp_path: Path):
    path = save(
        tmp_path,
        train_images=entries()["train_images"][..., 0],
        train_labels=np.array([[0], [1], [0], [1], [0], [1]], dtype=np.uint8),
        test_images=entries()["test_images"][..., :1],
        test_labels=np.array([[0], [1]], dtype=np.uint8),
        class_names=np.array(["cat", "dog"]),
    )
    source = arrays(path=path, crop_padding=0, flip=False)
    assert source.image_shape == (1, 16, 9)
    assert torch.equal(source.train.images[:, 0], torch.from_numpy(entries()["train_images"][..., 0]))
    assert source.test.images.shape == (2, 1, 16, 9)
    assert source.class_names == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert (source.crop_padding, source.flip) == (0, False)


def test_names_may_be_bytes(tmp_path: Path):
    names = [name.encode() for name in ("cat", "Kätzchen", "猫")]
    assert arrays(path=save(tmp_path, class_names=np.array(names))).class_names == ("cat", "Kätzchen", "猫")


def test_the_test_set_may_be_left_out(tmp_path: Path):
    assert arrays(path=save(tmp_path, test_images=None, test_labels=None)).test is None


def test_a_missing_file_says_what_to_write(tmp_path: Path):
    with pytest.raises(
        FileNotFoundError, match=r"`path` must be an .npz file; got .*x.npz, which is none. Write it with np.savez"
    ):
        arrays(path=tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"train_labels": None},
            ValueError,
            "`train_labels` must be in .*mine.npz; got only test_images, test_labels, train_im",
        ),
        ({"test_images": None}, ValueError, "`test_images` must be in"),
        ({"test_labels": None}, ValueError, "`test_labels` must be in"),
        (
            {"train_images": np.zeros((6, 3, 16, 9), np.uint8)},
            ValueError,
            r"`train_images` must be .*transpose\(0, 2, 3, 1\)",
        ),
        ({"train_images": np.zeros((6, 16, 9, 3))}, ValueError, "`train_images` must be uint8 .*; got float64, shape"),
        ({"train_images": np.zeros((6, 16), np.uint8)}, ValueError, r"got uint8, shape \(6, 16\)"),
        (
            {"test_labels": np.array([0, 3])},
            ValueError,
            "`test_labels` must be in 0..2, the classes of `train_labels` or `class_names`; got 3 at position 1. Name",
        ),
        (
            {"train_labels": np.zeros((6, 3), int)},
            TypeError,
            r"`train_labels` must be integers of shape .*; got int64, shape \(6, 3\). Write labels.argmax",
        ),
        (
            {"train_labels": np.array([0.0, 1.0, 2.0, 0.0, 1.0, 2.0])},
            TypeError,
            r"`train_labels` must be integers .*; got float64, shape \(6,\). Write class numbers as labels.astype",
        ),
        (
            {"test_labels": np.array([0.0, np.nan])},
            ValueError,
            "`test_labels` must be class numbers; got nan at position 1. Remove unlabelled",
        ),
        (
            {"train_labels": np.array([0, 1, 2, 0, 1, -1])},
            ValueError,
            "`train_labels` must be >= 0; got -1 at index 5. Remove unlabelled images",
        ),
        (
            {"train_labels": np.array([0, 1, 2, 0])},
            ValueError,
            "`train_labels` must be as many as `train_images`, 6; got 4. Write one",
        ),
        # labels that count from 1, which would make a fourth class without a sample
        (
            {"train_labels": np.array([1, 2, 3, 1, 2, 3]), "test_labels": np.array([1, 3])},
            ValueError,
            "`train_labels` must hold at least one image of each of the 4 classes; got none of class 0. They count from 1",
        ),
        (
            {"train_labels": np.array([1, 2, 3, 1, 2, 3]), "class_names": np.array(["a", "b", "c"])},
            ValueError,
            "`train_labels` must be in 0..2, .*; got 3 at position 2. They count from 1: subtract 1",
        ),
        (
            {"test_labels": np.array([1, 3])},
            ValueError,
            "`test_labels` must be in 0..2, .*; got 3 at position 1. They count from 1: subtract 1",
        ),
        (
            {"train_labels": np.array([0, 1, 3, 0, 1, 3]), "test_labels": np.array([2, 0])},
            ValueError,
            "`train_labels` must hold at least .* of the 4 classes; got none of class 2. Add images, or number",
        ),
        (
            {"class_names": np.array(["a", "b", "c", "d", "e"])},
            ValueError,
            "`train_labels` must hold at least .* of the 5 classes; got none of class 3, 4. Add images",
        ),
        (
            {"class_names": np.array(["a", "b", "a"])},
            ValueError,
            "`class_names` must differ from each other; got 'a' twice",
        ),
        (
            {"class_names": np.array([b"a", b"b", b"\xff"])},
            ValueError,
            r"`class_names` must be strings, or bytes in UTF-8; got b'\\xff'",
        ),
        (
            {"class_names": np.array([["a", "b", "c"]])},
            ValueError,
            r"`class_names` must have shape \(C,\); got shape \(1, 3\)",
        ),
        (
            {"class_names": np.array(["a"])},
            ValueError,
            "`train_labels` must be in 0..0, the classes of `train_labels` or `class_names`; got 2 at position 2. Name",
        ),
        (
            {"class_names": np.array([{"a": 1}], dtype=object)},
            ValueError,
            "must be a whole .npz file without pickles; .*mine",
        ),
    ],
)
def test_entries_that_do_not_fit_are_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        arrays(path=save(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: bytes | None):
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(
        ValueError, match="`path` must be a whole .npz file without pickles; got .*mine.npz, which is not"
    ):
        arrays(path=path)


def test_damage_inside_a_compressed_file_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **entries())
    content = bytearray(path.read_bytes())
    content[60:300] = bytes(240)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="`path` must be a whole .npz file without pickles; got .*mine.npz, which is not"
    ):
        arrays(path=path)


def test_a_plain_npy_file_is_refused(tmp_path: Path):
    path = tmp_path / "mine.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(
        ValueError, match="`path` must be a whole .npz file without pickles; got .*mine.npz, which is not"
    ):
        arrays(path=path)


def test_an_entry_that_claims_more_than_there_is_is_refused_by_name(tmp_path: Path):
    path = save(tmp_path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b"(6, 16, 9, 3)", b"(6, 99999999)"))
    with pytest.raises(
        ValueError,
        match=r"`path` must be a whole .npz file .*; got .*mine.npz, which is not \(its header says 599999994 bytes of uint8",
    ):
        arrays(path=path)


def test_a_small_file_that_unpacks_to_very_much_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mine.npz"
    np.savez_compressed(
        path, **entries(train_images=np.zeros((6, 1000, 1000, 3), np.uint8), test_images=None, test_labels=None)
    )
    monkeypatch.setenv("LT_CALLBACKS_MAX_NPZ_GIB", "0.001")
    with pytest.raises(
        ValueError, match=r"mine.npz, which is not \(it unpacks to .* set LT_CALLBACKS_MAX_NPZ_GIB=1 in"
    ):
        arrays(path=path)
    monkeypatch.delenv("LT_CALLBACKS_MAX_NPZ_GIB")
    assert arrays(path=path, crop_padding=0).image_shape == (3, 1000, 1000)
