from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import pytest

from lt_callbacks import _files
from lt_callbacks._files import canonical_json, sha256, write_bytes, write_json


def test_bytes_are_written_into_folders_made_on_the_way(tmp_path):
    path = write_bytes(str(tmp_path / "a" / "b" / "file.bin"), b"\x00\xffcontent")
    assert path == tmp_path / "a" / "b" / "file.bin"
    assert path.read_bytes() == b"\x00\xffcontent"
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_an_old_file_is_replaced_and_not_written_into(tmp_path):
    path = write_bytes(tmp_path / "file", b"old and long")
    with path.open("rb") as reader:
        write_bytes(path, b"new")
        # Who had opened the old file still reads all of it.
        assert reader.read() == b"old and long"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_can_be_read_by_whom_the_umask_lets_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = write_bytes(tmp_path / "file", b"x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_writing_that_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_bytes(tmp_path / "file", b"old")

    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_bytes(tmp_path / "taken", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_the_temporary_file_lies_beside_the_target(tmp_path, monkeypatch):
    """A rename over the border of a file system would copy, which is not atomic."""
    moved = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (moved.append(self), replace(self, target))[1])
    write_bytes(tmp_path / "file", b"x")
    assert [path.parent for path in moved] == [tmp_path]


def test_json_is_indented_and_ends_its_last_line(tmp_path):
    path = write_json(tmp_path / "facts.json", {"b": [1, 2.5], "a": None})
    assert path.read_text() == json.dumps({"b": [1, 2.5], "a": None}, indent=2) + "\n"


@pytest.mark.parametrize("content", [math.nan, {"a": [math.inf]}])
def test_json_without_nan(tmp_path, content):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "facts.json", content)
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(content)
    assert not list(tmp_path.iterdir())


def test_equal_content_has_equal_bytes():
    content = {"b": (1, 2), "a": {"ü": None, "x": 0.1}}
    assert canonical_json(content) == canonical_json({"a": {"x": 0.1, "ü": None}, "b": [1, 2]})
    assert canonical_json(content) == b'{"a":{"x":0.1,"\\u00fc":null},"b":[1,2]}'
    assert canonical_json([1, 2]) != canonical_json([2, 1])


def test_known_hash():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    digits = "0123456789abcdef"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / f".weights.{digits}.tmp").write_text("half")
    (tmp_path / f".model.{digits}.tmp").mkdir()
    (tmp_path / f".model.{digits}.tmp" / "part").write_text("half")
    kept = ["a.tmp", f"a.{digits}.tmp", f".a.{digits}", ".a.short.tmp", f"..{digits}.tmp"]
    for name in kept:
        (tmp_path / name).write_text("somebody's own")
    _files.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "inner"])
    assert not list((tmp_path / "inner").iterdir())


def test_leftovers_of_one_file_are_removed_in_its_folder_alone(tmp_path):
    digits = "0123456789abcdef"
    (tmp_path / "inner").mkdir()
    names = [f".a[1].json.{digits}.tmp", f".a1.json.{digits}.tmp", f"inner/.a[1].json.{digits}.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    _files.remove_leftovers(tmp_path, name="a[1].json")
    assert [(tmp_path / name).exists() for name in names] == [False, True, True]


def test_leftovers_of_a_folder_that_is_not_there_are_none(tmp_path):
    _files.remove_leftovers(tmp_path / "nowhere")
