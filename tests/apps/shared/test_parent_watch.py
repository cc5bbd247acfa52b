from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time

import pytest
from patience import PATIENCE

from lt_callbacks.apps.shared import parent_watch
from lt_callbacks.apps.shared.parent_watch import end_with_parent

FORK = multiprocessing.get_context("fork")


def watched(write: int) -> None:
    end_with_parent()
    os.write(write, str(os.getpid()).encode().ljust(20))
    time.sleep(2 * PATIENCE)


def saving(write: int) -> None:
    """Says that it was asked to end, and does not."""
    parent_watch._SECONDS_TO_SAVE = 0.5
    signal.signal(signal.SIGTERM, lambda *_: os.write(write, b"saved"))
    end_with_parent(saves=True)
    os.write(write, str(os.getpid()).encode().ljust(20))
    while True:
        time.sleep(1)


def start_watched(write: int, target) -> None:
    child = FORK.Process(target=target, args=(write,))
    child.start()
    child.join()


@pytest.fixture(params=[watched])
def parent(request):
    """A process that started another one, which holds the write end of a pipe for as long as it lives."""
    read, write = os.pipe()
    process = FORK.Process(target=start_watched, args=(write, request.param))
    process.start()
    os.close(write)
    child = int(os.read(read, 20))
    yield process, read
    process.kill()
    process.join()
    if not has_ended(read, within=0.0):
        os.kill(child, signal.SIGKILL)
    os.close(read)


def has_ended(read: int, *, within: float) -> bool:
    """Whether the last holder of the pipe's write end is gone; a process that nobody waited for still has an id."""
    ready, _, _ = select.select([read], [], [], within)
    return bool(ready) and os.read(read, 1) == b""


@pytest.mark.ddp
def test_a_child_is_gone_soon_after_its_parent_was_killed_and_not_before(parent):
    process, read = parent
    # Longer than it takes to look twice.
    assert not has_ended(read, within=2.5)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert has_ended(read, within=PATIENCE)


@pytest.mark.ddp
@pytest.mark.parametrize("parent", [saving], indirect=True)
def test_a_child_that_has_something_to_save_is_asked_first_and_ended_where_it_does_not(parent):
    process, read = parent
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert os.read(read, 5) == b"saved"
    assert has_ended(read, within=PATIENCE)
