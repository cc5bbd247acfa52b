from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest

from lt_callbacks._lease import Lease

QUICK = {"heartbeat": 0.05, "expiry": 0.4}

SPAWN = multiprocessing.get_context("spawn")


def never():
    return False


def hold(folder, started, seconds):
    with Lease(folder, **QUICK).acquire(unless=never):
        started.set()
        time.sleep(seconds)


def append_alone(folder, path, times):
    """Reads, waits and writes: increments would be lost if two were inside at once."""
    for _ in range(times):
        with Lease(folder, **QUICK).acquire(unless=never):
            value = int(path.read_text())
            time.sleep(0.002)
            path.write_text(str(value + 1))


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease for long."""
    started = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path / "lease", started, 60), daemon=True)
    process.start()
    assert started.wait(30)
    yield process
    if process.is_alive():
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.join()


def test_a_free_lease_is_held_at_once(tmp_path):
    started = time.monotonic()
    with Lease(tmp_path / "new" / "lease").acquire(unless=never) as is_held:
        assert is_held
    assert time.monotonic() - started < 1


def test_a_released_lease_is_free_at_once_also_after_an_error(tmp_path):
    lease = Lease(tmp_path, heartbeat=5, expiry=60)
    with pytest.raises(KeyError), lease.acquire(unless=never):
        raise KeyError("training failed")
    started = time.monotonic()
    for _ in range(3):
        with lease.acquire(unless=never) as is_held:
            assert is_held
    assert time.monotonic() - started < 1


def test_a_living_holder_is_waited_for(tmp_path, holder):
    is_done = iter([False] * 12 + [True] * 100)
    waited_for = []
    started = time.monotonic()
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=lambda: next(is_done), on_wait=waited_for.append) as is_held:
        assert not is_held
    # Longer than the expiry, which the holder's heartbeats put off.
    assert time.monotonic() - started > QUICK["expiry"]
    assert len(waited_for) == 1
    assert waited_for[0].endswith(f", process {holder.pid}")


def test_a_holder_that_is_gone_from_this_machine_is_not_waited_for(tmp_path, holder):
    holder.kill()
    holder.join()
    started = time.monotonic()
    with Lease(tmp_path / "lease", heartbeat=5, expiry=60).acquire(unless=never) as is_held:
        assert is_held
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("change", [{"machine": "another one"}, {"machine": None}])
def test_the_lease_of_a_holder_that_was_killed_elsewhere_expires(tmp_path, holder, change):
    holder.kill()
    holder.join()
    file = tmp_path / "lease" / "0"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    started = time.monotonic()
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never) as is_held:
        assert is_held
    assert QUICK["expiry"] <= time.monotonic() - started < 5


def test_a_holder_that_was_stopped_and_replaced_does_not_take_the_lease_back(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never):
        os.kill(holder.pid, signal.SIGCONT)
        time.sleep(2 * QUICK["expiry"])
        third = SPAWN.Event()
        other = SPAWN.Process(target=hold, args=(tmp_path / "lease", third, 0), daemon=True)
        other.start()
        # The first holder's heartbeats must not hide that this one lives, nor the other way round.
        assert not third.wait(6 * QUICK["expiry"])
    assert third.wait(30)
    other.join()


def test_one_holder_at_a_time(tmp_path):
    path = tmp_path / "count"
    path.write_text("0")
    processes = [SPAWN.Process(target=append_alone, args=(tmp_path / "lease", path, 25)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert path.read_text() == "100"


def test_after_the_work_is_done_nothing_is_left(tmp_path):
    done = tmp_path / "done"
    lease = Lease(tmp_path / "lease")
    with lease.acquire(unless=done.exists) as is_held:
        assert is_held
        done.touch()
    assert not lease.folder.exists()
    with lease.acquire(unless=done.exists) as is_held:
        assert not is_held


def test_work_that_was_done_while_the_lease_was_taken_is_not_done_again(tmp_path):
    answers = iter([False, True, True, True])
    with Lease(tmp_path).acquire(unless=lambda: next(answers)) as is_held:
        assert not is_held


def test_a_file_whose_creator_died_before_it_wrote_expires(tmp_path):
    (tmp_path / "0").touch()
    with Lease(tmp_path, **QUICK).acquire(unless=never) as is_held:
        assert is_held


def test_heartbeats_must_be_more_frequent_than_the_expiry(tmp_path):
    with pytest.raises(ValueError, match="`expiry` must be longer than `heartbeat`, which is above 0; got 1 and 1 seconds"):
        Lease(tmp_path, heartbeat=1, expiry=1)
