from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from lt_callbacks.data import file_hashes as module
from lt_callbacks.data.file_hashes import file_hashes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lt_callbacks" / "file-hashes"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that tests need not wait two seconds for it."""
    monkeypatch.setattr(module, "RACY_NS", -(10**18))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of one size; more than one thread takes at a time."""
    paths = [tmp_path / "images" / f"{i % 3}" / f"{i}.png" for i in range(150)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{i:06}".encode())
    return paths


def expected(paths: list[Path]) -> list[bytes]:
    return [hashlib.sha256(path.read_bytes()).digest() for path in paths]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are opened from now on."""
    read: list[str] = []

    def counted(path, *arguments, **options):
        read.append(str(path))
        return open(path, *arguments, **options)  # noqa: PTH123

    monkeypatch.setattr(module, "open", counted, raising=False)
    return read


def test_hashes_are_those_of_the_content_in_order(files: list[Path]):
    assert file_hashes(files) == expected(files)
    assert file_hashes([str(path) for path in reversed(files)]) == expected(files)[::-1]
    assert file_hashes([]) == []


@pytest.mark.usefixtures("settled")
def test_a_file_that_did_not_change_is_read_once(files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    read = count_reads(monkeypatch)
    first = file_hashes(files)
    assert len(read) == 150
    assert file_hashes(files) == first
    # a part of them, by other names for the folder
    monkeypatch.chdir(tmp_path / "images")
    assert file_hashes([Path(f"{i % 3}/{i}.png") for i in range(150)]) == first
    assert len(read) == 150


@pytest.mark.usefixtures("settled")
def test_what_was_remembered_stays_when_there_are_new_files(files: list[Path], monkeypatch: pytest.MonkeyPatch):
    file_hashes(files[:90])
    file_hashes(files)
    read = count_reads(monkeypatch)
    assert file_hashes(files) == expected(files)
    assert read == []


@pytest.mark.usefixtures("settled")
def test_exchanged_files_of_equal_size_and_times_are_read_again(files: list[Path]):
    for path in files:
        os.utime(path, ns=(10**18, 10**18))
    before = file_hashes(files)
    aside = files[0].with_name("aside")
    files[0].rename(aside)
    files[1].rename(files[0])
    aside.rename(files[1])
    assert file_hashes(files) == [before[1], before[0], *before[2:]]


@pytest.mark.usefixtures("settled")
def test_a_file_written_anew_with_its_old_time_is_read_again(files: list[Path]):
    file_hashes(files)
    times = files[7].stat()
    time.sleep(0.02)
    with files[7].open("r+b") as stream:
        stream.write(b"others")
    os.utime(files[7], ns=(times.st_atime_ns, times.st_mtime_ns))
    now = files[7].stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (times.st_ino, times.st_size, times.st_mtime_ns)
    assert file_hashes(files) == expected(files)


def test_a_file_that_has_just_changed_is_not_remembered(files: list[Path], cache: Path):
    file_hashes(files)
    assert not cache.exists()


def test_a_file_that_has_just_got_an_old_date_is_not_remembered(tmp_path: Path, cache: Path):
    path = tmp_path / "a.png"
    path.write_bytes(b"a")
    os.utime(path, ns=(10**18, 10**18))
    file_hashes([path])
    assert not cache.exists()


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.png"
    path.write_bytes(b"a")

    class Written:
        """The file, to which somebody writes while it is read."""

        def __init__(self, *arguments, **options):
            self._stream = open(*arguments, **options)  # noqa: PTH123, SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._stream.close()

        def fileno(self):
            return self._stream.fileno()

        def read(self, size):
            found = self._stream.read(size)
            if found == b"a":
                path.write_bytes(b"ab")
            return found

    monkeypatch.setattr(module, "open", Written, raising=False)
    file_hashes([path])
    assert not cache.exists()


def test_a_file_at_rest_is_remembered(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"a")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3 * 10**9)
    file_hashes([path])
    assert len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("place", ["start", "middle", "end", "short", "empty"])
def test_a_damaged_memory_is_ignored_and_made_again(
    files: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    file_hashes(files)
    [memory] = cache.iterdir()
    whole = memory.read_bytes()
    at = {"start": 0, "middle": len(whole) // 2, "end": len(whole) - 1}.get(place)
    if at is None:
        memory.write_bytes(whole[:1000] if place == "short" else b"")
    else:
        # A digit for a digit: JSON of the same form.
        memory.write_bytes(whole[:at] + (b"1" if whole[at : at + 1] != b"1" else b"2") + whole[at + 1 :])
    assert file_hashes(files) == expected(files)
    assert memory.read_bytes() == whole
    read = count_reads(monkeypatch)
    file_hashes(files)
    assert read == []


@pytest.mark.usefixtures("settled")
def test_where_nothing_can_be_kept_files_are_read(files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "a file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    assert file_hashes(files) == file_hashes(files) == expected(files)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert file_hashes(files) == expected(files)


@pytest.mark.usefixtures("settled")
def test_a_relative_cache_folder_is_ignored(files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file_hashes(files)
    assert len(list((tmp_path / "home" / ".cache" / "lt_callbacks" / "file-hashes").iterdir())) == 1


@pytest.mark.usefixtures("settled")
def test_what_was_not_used_for_longest_is_forgotten(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
        (folder / "0.png").write_bytes(b"0")
    file_hashes([folders[0] / "0.png"])
    [oldest] = cache.iterdir()
    os.utime(oldest, ns=(10**18, 10**18))
    # Numbers of files have more digits or fewer.
    monkeypatch.setattr(module, "LIMIT_BYTES", int(2.5 * oldest.stat().st_size))
    file_hashes([folders[1] / "0.png"])
    [other] = set(cache.iterdir()) - {oldest}
    # The clock of a file system may not tick between two writes.
    os.utime(other, ns=(10**18 + 1, 10**18 + 1))
    # used, and therefore not the oldest any more
    file_hashes([folders[0] / "0.png"])
    file_hashes([folders[2] / "0.png"])
    assert len(list(cache.iterdir())) == 2
    assert oldest.exists()
    assert not other.exists()


def in_another_process(paths: list[Path], results: multiprocessing.Queue) -> None:
    module.RACY_NS = -(10**18)
    results.put([file_hashes(paths) for _ in range(20)])


@pytest.mark.usefixtures("settled")
def test_several_processes_may_ask_at_once(files: list[Path], cache: Path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=in_another_process, args=(files[k:], results)) for k in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    all_expected = expected(files)
    assert all(some == all_expected[-len(some) :] for rounds in found for some in rounds)
    assert all(path.suffix == ".json" for path in cache.iterdir())


def test_a_file_that_is_missing_is_named(files: list[Path]):
    files[9].unlink()
    with pytest.raises(FileNotFoundError, match=r"`images` must be files; got .*9\.png, where there is none"):
        file_hashes(files)


def test_a_folder_in_place_of_a_file_is_named(files: list[Path], tmp_path: Path):
    with pytest.raises(ValueError, match=r"images cannot be read: Is a directory\. Restore the file"):
        file_hashes([*files, tmp_path / "images"])
