from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import stat
import sys
import threading
import time

import pytest
from patience import PATIENCE

from lt_callbacks import _folder_lock
from lt_callbacks._folder_lock import locked_folder

SPAWN = multiprocessing.get_context("spawn")
CAN_LOCK_FOLDERS = pytest.mark.skipif(sys.platform == "win32", reason="Windows locks files only")


def hold(folder, started):
    with locked_folder(folder, name="x"):
        started.set()
        time.sleep(2 * PATIENCE)


def append_alone(folder, times):
    """Reads, waits and writes: increments would be lost if two were inside at once."""
    for _ in range(times):
        with locked_folder(folder, name="x"):
            value = int((folder / "count").read_text())
            time.sleep(0.001)
            (folder / "count").write_text(str(value + 1))


@pytest.fixture
def no_folders(monkeypatch):
    """A file system that locks no folders."""

    import fcntl

    real = fcntl.flock

    def refuse(descriptor, operation):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("kind", [threading.Thread, SPAWN.Process])
def test_one_is_in_the_block_at_a_time_and_no_file_stays(tmp_path, kind):
    (tmp_path / "count").write_text("0")
    workers = [kind(target=append_alone, args=(tmp_path, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "count").read_text() == "100"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


@CAN_LOCK_FOLDERS
def test_a_holder_that_is_killed_leaves_nothing_and_keeps_nobody_out(tmp_path):
    started = SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(tmp_path, started), daemon=True)
    holder.start()
    assert started.wait(PATIENCE)
    got_in = threading.Event()

    def wait():
        with locked_folder(tmp_path, name="x"):
            got_in.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert not got_in.wait(0.3)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert got_in.wait(PATIENCE)
    waiting.join()
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_block_gives_the_folder_back(tmp_path):
    with pytest.raises(KeyError), locked_folder(tmp_path, name="x"):
        raise KeyError("no result")
    with locked_folder(tmp_path, name="x"):
        pass


@CAN_LOCK_FOLDERS
@pytest.mark.usefixtures("no_folders")
def test_where_no_folder_can_be_locked_a_file_in_it_is(tmp_path):
    with locked_folder(tmp_path, name="metrics.json"):
        assert [path.name for path in tmp_path.iterdir()] == [".metrics.json.lock"]


@CAN_LOCK_FOLDERS
def test_other_errors_are_told(tmp_path, monkeypatch):
    def fail(descriptor, operation):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match="Input/output"), locked_folder(tmp_path, name="x"):
        pass
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "nowhere", name="x"):
        pass


def test_a_platform_without_folder_locks_locks_a_file(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert _folder_lock._locked(tmp_path) is None
