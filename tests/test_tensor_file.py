from __future__ import annotations

import zipfile

import pytest
import torch

from lt_callbacks._errors import DataError
from lt_callbacks._tensor_file import nonfinite_entry, read_torch_file

STATE = {"weight": torch.arange(64.0).view(8, 8), "bias": torch.ones(8)}


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(bytes(content))


def place_of(path, value):
    """Where the bytes of a tensor lie in a file."""
    return path.read_bytes().index(value.numpy().tobytes())


def test_what_was_saved_is_read(tmp_path):
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        torch.save({"epoch": 3, "state_dict": STATE}, tmp_path / "a.pt", **options)
        found = read_torch_file(tmp_path / "a.pt")
        assert found["epoch"] == 3
        assert all(torch.equal(found["state_dict"][name], value) for name, value in STATE.items())


def test_a_flipped_bit_of_a_weight_is_found(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    flipped(path, place_of(path, STATE["weight"]) + 17)
    # torch reads it as another number.
    assert not torch.equal(torch.load(path, weights_only=True)["weight"], STATE["weight"])
    with pytest.raises(DataError, match=r"^its entry 'a/data/\d+' does not fit its checksum"):
        read_torch_file(path)


def test_in_a_file_of_the_old_form_it_is_not(tmp_path):
    """What is promised of such files is their structure alone."""
    path = tmp_path / "a.pt"
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    flipped(path, place_of(path, STATE["weight"]) + 17)
    assert not torch.equal(read_torch_file(path)["weight"], STATE["weight"])


@pytest.mark.parametrize("length", [4, 300, -1])
def test_a_truncated_file_is_found_before_torch_reads_it(tmp_path, length):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="^it is truncated or damaged: "):
        read_torch_file(path)


def test_a_file_that_would_unpack_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert (tmp_path / "b.pt").stat().st_size < 20_000
    with pytest.raises(DataError, match=r"^its entry 'a/data.pkl' is packed, as torch.save does not write it"):
        read_torch_file(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (STATE, None),
        ({"a": torch.tensor([1, 2]), "b": torch.tensor(True), "c": "nan", "d": None}, None),
        ({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, "NaN in 'b'"),
        ({"a": torch.tensor([1.0, -torch.inf])}, "infinity in 'a'"),
        ({"a": torch.tensor([torch.inf, torch.nan])}, "NaN in 'a'"),
        ({"a": torch.tensor([torch.nan], dtype=torch.bfloat16)}, "NaN in 'a'"),
        ({"a": torch.tensor([complex(0, torch.inf)])}, "infinity in 'a'"),
        ({"state": {0: {"exp_avg": torch.tensor([torch.nan])}}}, "NaN in 'state.0.exp_avg'"),
        ([{"a": (torch.ones(1), torch.tensor(torch.nan))}], "NaN in '[0].a[1]'"),
    ],
)
def test_the_first_tensor_that_is_not_finite_is_named(state, message):
    assert nonfinite_entry(state) == message


def test_an_infinity_that_a_module_has_by_itself_is_none():
    mask = torch.full((2, 2), -torch.inf).triu(1)
    own = {"mask": mask, "weight": torch.ones(2)}
    assert nonfinite_entry({"mask": mask.clone(), "weight": torch.zeros(2)}, like=own) is None
    moved = mask.clone()
    moved[1, 0] = -torch.inf
    assert nonfinite_entry({**own, "mask": moved}, like=own) == "infinity in 'mask'"
    assert nonfinite_entry({**own, "mask": -mask}, like=own) in ("infinity in 'mask'", "NaN in 'mask'")
    assert nonfinite_entry({**own, "weight": torch.tensor([1.0, torch.inf])}, like=own) == "infinity in 'weight'"
    not_a_number = {"a": torch.tensor([torch.nan])}
    assert nonfinite_entry(not_a_number, like=not_a_number) == "NaN in 'a'"
