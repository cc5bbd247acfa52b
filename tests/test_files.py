from __future__ import annotations

import errno
import json
import math
import multiprocessing
import os
import signal
import stat
from pathlib import Path

import pytest

from lt_callbacks import _files
from lt_callbacks._files import canonical_json, remove_leftovers, sha256, temporary_beside, write_bytes, write_json


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


@pytest.mark.parametrize("at", ["open", "fsync"])
def test_an_error_of_the_disk_names_the_file_that_was_to_be_written(tmp_path, monkeypatch, at):
    """A stream's error names none, and that of the temporary file a name that nobody knows."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), None if at == "fsync" else "temporary")

    monkeypatch.setattr(*((Path, "open", full) if at == "open" else (_files.os, "fsync", full)))
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes(tmp_path / "file", b"x")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "file"))
    assert not list(tmp_path.iterdir())


def killed_in_the_middle(path: Path) -> None:
    os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
    write_bytes(path, b"half")


def killed_with_a_folder(path: Path) -> None:
    beside = temporary_beside(path)
    write_bytes(beside / "weights", b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def left_by_killed(target, path: Path) -> list[str]:
    process = multiprocessing.get_context("fork").Process(target=target, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return [each.name for each in path.parent.iterdir()]


@pytest.mark.ddp
@pytest.mark.parametrize("target", [killed_in_the_middle, killed_with_a_folder])
def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path, target):
    (left,) = left_by_killed(target, tmp_path / "file.json")
    living = temporary_beside(tmp_path / "file.json")
    kept = [living.name, "file.json", ".file.json.lock", ".hidden.tmp", ".a.0123456789abcdef.tmp"]
    for name in kept:
        (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path, name="other.json")
    assert (tmp_path / left).exists()
    remove_leftovers(tmp_path, name="file.json")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(kept)


@pytest.mark.ddp
def test_leftovers_of_all_names_and_of_other_machines(tmp_path, monkeypatch):
    left_by_killed(killed_in_the_middle, tmp_path / "a")
    left_by_killed(killed_in_the_middle, tmp_path / "b")
    # Written on another machine, whose processes cannot be asked: after a day nobody writes any more.
    monkeypatch.setattr(_files, "_machine", lambda: "0" * 8)
    remove_leftovers(tmp_path)
    left = list(tmp_path.iterdir())
    assert len(left) == 2
    os.utime(left[0], (0, 0))
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == left[1:]
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_nothing_is_left(tmp_path):
    remove_leftovers(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    remove_leftovers(tmp_path / "file")
    assert (tmp_path / "file").exists()
