from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from lt_callbacks._array_file import LARGEST_GIB_VARIABLE, read_npy, read_npz
from lt_callbacks._errors import DataError

ARRAYS = {
    "matrix": np.arange(12.0).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">i2"),
    "names": np.array(["cat", "Kätzchen"]),
    "bytes": np.array([b"cat", b"dog!"]),
    "one": np.array(3.5),
    "none": np.zeros((0, 4), np.float32),
    "empty names": np.array(["", ""]),
}


def header(shape, descr="<f8", version=b"\x01\x00"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(tmp_path, name):
    np.save(tmp_path / "a.npy", ARRAYS[name])
    np.savez_compressed(tmp_path / "b.npz", **{name: ARRAYS[name]})
    for found in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "b.npz")[name]):
        assert found.dtype == ARRAYS[name].dtype
        assert found.shape == ARRAYS[name].shape
        assert np.array_equal(found, ARRAYS[name])
        assert found.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            header((10**12, 10**6)),
            r"its header says 8000000000000000000 bytes of float64 in shape \(\d+, \d+\), and there",
        ),
        (header((3,)) + bytes(16), "its header says 24 bytes of float64 .* and there are 16"),
        (header((3,)) + bytes(32), "its header says 24 bytes .* and there are 32"),
        (header((2,), "<U100000000") + bytes(8), "its header says 800000000 bytes of <U"),
        (header((-2, -3)) + bytes(48), r"its header says shape \(-2, -3\), with a length below 0"),
        (header((3,), "|O") + bytes(24), "it holds objects, which would have to be unpickled"),
        (header((3,), version=b"\x03\x00") + bytes(24), r"it is of NumPy's format version 3\.0"),
        (header((3,), version=b"\x09\x00") + bytes(24), "format version"),
        (b"\x93NUMPY\x01\x00\x08\x00{'a': (\n" + bytes(24), "."),
        (b"", "."),
        (b"PK\x03\x04", "."),
    ],
)
def test_what_a_header_claims_is_checked_before_anything_is_allocated(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "b.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_bit_of_the_content_is_found(tmp_path, save):
    save(tmp_path / "a.npz", a=np.random.default_rng(0).integers(0, 255, 200, dtype=np.uint8))
    content = (tmp_path / "a.npz").read_bytes()
    start = content.index(b"NUMPY") if save is np.savez else 60
    for place in range(start, start + 180, 7):
        (tmp_path / "a.npz").write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(DataError):
            read_npz(tmp_path / "a.npz")


def bomb(path, gib):
    """A file of a thousandth of what it unpacks to."""
    array = io.BytesIO()
    array.write(header((int(gib * 2**30),), "|u1"))
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as out,
    ):
        out.write(array.getvalue())
        for _ in range(int(gib * 64)):
            out.write(bytes(1 << 24))
    return path


def test_a_small_file_that_unpacks_to_very_much_is_refused_and_may_be_allowed(tmp_path, monkeypatch):
    path = bomb(tmp_path / "a.npz", 0.0625)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv(LARGEST_GIB_VARIABLE, "0.05")
    with pytest.raises(
        DataError,
        match=r"^it unpacks to 0\.0625 GiB, \d{3,} times its size on disk; if you trust it, set "
        r"LT_CALLBACKS_MAX_NPZ_GIB=1 in the environment$",
    ):
        read_npz(path)
    monkeypatch.setenv(LARGEST_GIB_VARIABLE, "0.07")
    assert read_npz(path)["a"].nbytes == 2**26


def test_a_large_file_that_unpacks_to_its_size_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv(LARGEST_GIB_VARIABLE, "0.0001")
    np.savez(tmp_path / "a.npz", a=np.zeros(1 << 18))
    assert read_npz(tmp_path / "a.npz")["a"].nbytes == 2**21


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan"])
def test_a_limit_that_is_no_number_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setenv(LARGEST_GIB_VARIABLE, text)
    np.savez(tmp_path / "a.npz", a=np.zeros(1))
    with pytest.raises(ValueError, match=rf"`{LARGEST_GIB_VARIABLE}` must be a number of GiB > 0; got '{text}'"):
        read_npz(tmp_path / "a.npz")


def test_an_array_twice_is_refused(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", array.getvalue())
        archive.writestr("a", array.getvalue())
    with pytest.raises(DataError, match="it has two entries 'a'"):
        read_npz(tmp_path / "a.npz")
