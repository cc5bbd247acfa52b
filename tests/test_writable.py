from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest
from disks import LONG, PLACES, disk, fill

from lt_callbacks import _writable
from lt_callbacks._errors import ArgumentError
from lt_callbacks._files import temporary_beside
from lt_callbacks._writable import check_file, check_folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("below", ["", "new", "new/and/deep"])
def test_a_place_that_can_be_written_to_is_left_as_it_was(tmp_path, below):
    check_folder("output", tmp_path / below)
    check_folder("output", str(tmp_path / below))
    check_file("results", tmp_path / below / "results.json")
    assert not names(tmp_path)


@pytest.mark.parametrize("check", [check_folder, check_file])
@pytest.mark.parametrize("below", ["in", "in/it/deep"])
@pytest.mark.parametrize("kind", PLACES)
def test_a_place_that_cannot_be_written_to_is_refused_by_name(tmp_path, kind, below, check):
    make, text = PLACES[kind]
    with make(tmp_path / "place") as place:
        before = names(tmp_path)
        with pytest.raises(ArgumentError, match=f"^`store` {text}"):
            check("store", place / below)
        assert names(tmp_path) == before


def test_what_is_wrong_with_a_place_is_also_a_built_in_error(tmp_path):
    """So that a caller can tell them apart."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="must be a folder; got '.*file', a file"):
        check_folder("output", tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="is a link to 'nowhere', which is not there"):
        check_folder("output", tmp_path / "link")
    with pytest.raises(PermissionError, match="`output` must be a place where files can be written"):
        check_folder("output", "/sys/kernel/new")


def test_a_disk_counts_by_the_room_that_it_has(tmp_path):
    with disk(tmp_path / "disk", megabytes=4) as place:
        filler = fill(place, leave=_writable.ROOM // 2)
        with pytest.raises(ValueError, match="No space left on device"):
            check_folder("output", place / "run")
        os.truncate(filler, filler.stat().st_size - _writable.ROOM)
        check_folder("output", place / "run")
        assert names(place) == ["filler"]


def test_a_limit_of_this_process_is_a_full_disk_too(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_writable.ROOM // 2, before[1]))
        with pytest.raises(ValueError, match="`output` must be on a disk with room.*: File too large. Make room"):
            check_folder("output", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not names(tmp_path)


def test_names_inside_a_folder_need_room_too(tmp_path):
    """A path of which only the package's own part does not fit would fail in the middle of the run."""
    deep = tmp_path.joinpath(*["x" * 100] * 60)
    with pytest.raises(ValueError, match=r"got '.{120}\.\.\..{60}': File name too long"):
        check_folder("output", str(deep)[:4000])
    check_folder("output", str(deep)[:3500])


def test_a_files_temporary_name_needs_room_too(tmp_path):
    longest = 255 - _writable.TEMPORARY
    check_file("results", tmp_path / ("x" * longest))
    with pytest.raises(ValueError, match="`results` must have names that the file system takes"):
        check_file("results", tmp_path / ("x" * (longest + 1)))
    own = temporary_beside(tmp_path / "name")
    assert len(own.name) - len("name") <= _writable.TEMPORARY


@pytest.mark.parametrize("below", [f"a/{LONG}/b", f"new/{LONG}"])
def test_a_name_that_is_too_long_is_found_below_what_is_not_there(tmp_path, below):
    with pytest.raises(ValueError, match="File name too long"):
        check_folder("output", tmp_path / below)


def test_what_will_be_written_in_a_folder_is_looked_at(tmp_path):
    (tmp_path / "report.md").mkdir()
    (tmp_path / "figures").write_text("")
    with pytest.raises(ValueError, match=r"^`output` must have a file there or nothing; got '.*report.md', a folder"):
        check_folder("output", tmp_path, files=("report.md",))
    with pytest.raises(ValueError, match=r"^`output` must have a folder there or nothing; got '.*figures', a file"):
        check_folder("output", tmp_path, folders=("figures",))
    check_folder("output", tmp_path, folders=("report.md", "new"), files=("figures", "also-new"))
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="is a link to 'nowhere'"):
        check_folder("output", tmp_path, files=("link",))


def test_a_document_in_the_place_of_which_is_something_else(tmp_path):
    with pytest.raises(ValueError, match="^`results` must have a file there or nothing; got '.*', a folder"):
        check_file("results", tmp_path)
    with pytest.raises(ValueError, match="got '/dev/null', a device or the like"):
        check_file("results", "/dev/null")


@pytest.mark.parametrize("path", [3, None, b"bytes"])
def test_no_path(path):
    with pytest.raises(TypeError, match=r"^`output` must be a path; got (int|NoneType|bytes)\.$"):
        check_folder("output", path)


def test_a_null_byte_is_no_name(tmp_path):
    with pytest.raises(ValueError, match="^`output` must be a place where files can be written; got .*null"):
        check_folder("output", f"{tmp_path}/a\0b")


def test_links_to_folders_are_folders(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    check_folder("output", tmp_path / "link" / "run")
    check_file("results", tmp_path / "link" / "results.json")


def test_a_relative_path_is_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    check_folder("output", "run")
    check_folder("output", "new/../run")
    with pytest.raises(ValueError, match="^`output` must lie in a folder; got 'file/run', where '.*file' is a file"):
        check_folder("output", "file/run")


def test_many_jobs_try_one_place_at_once(tmp_path):
    """None of them takes another's attempt for something in its way."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                check_folder("store", tmp_path / "new" / "store", folders=("jobs",))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not names(tmp_path)
