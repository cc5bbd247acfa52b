from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time

import pytest
from disks import disk, fill
from lease_clocks import FakeClock, HeartbeatClock
from patience import PATIENCE, wait_until

from lt_callbacks import _lease
from lt_callbacks._lease import Lease, LeaseHeldError

QUICK = {"heartbeat": 0.05, "expiry": 0.4}
#: Whose holder lives however slow the machine is.
PATIENT = {"heartbeat": 0.05, "expiry": PATIENCE}

SPAWN = multiprocessing.get_context("spawn")


def never():
    return False


def hold(folder, started):
    with Lease(folder, **QUICK).acquire(unless=never):
        started.set()
        time.sleep(2 * PATIENCE)


def append_alone(folder, path, times):
    """Reads, waits and writes: increments would be lost if two were inside at once."""
    for _ in range(times):
        with Lease(folder, **PATIENT).acquire(unless=never):
            value = int(path.read_text())
            time.sleep(0.002)
            path.write_text(str(value + 1))


@pytest.fixture
def clock(monkeypatch):
    """For the jobs of this process that wait."""
    clock = FakeClock()
    monkeypatch.setattr(_lease, "time", clock)
    return clock


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease for long."""
    started = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path / "lease", started), daemon=True)
    process.start()
    assert started.wait(PATIENCE)
    yield process
    if process.is_alive():
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.join()


def test_a_free_lease_is_held_at_once(tmp_path, clock):
    with Lease(tmp_path / "new" / "lease").acquire(unless=never) as is_held:
        assert is_held
    assert clock.now == 0.0


def test_a_released_lease_is_free_at_once_also_after_an_error(tmp_path, clock):
    lease = Lease(tmp_path, heartbeat=5, expiry=60)
    with pytest.raises(KeyError), lease.acquire(unless=never):
        raise KeyError("training failed")
    for _ in range(3):
        with lease.acquire(unless=never) as is_held:
            assert is_held
    assert clock.now == 0.0


def test_a_living_holder_is_waited_for(tmp_path, holder, monkeypatch):
    is_done = iter([False] * 12 + [True] * 100)
    waited_for = []
    clock = HeartbeatClock(tmp_path / "lease" / "0", seconds=0.75 * QUICK["expiry"])
    monkeypatch.setattr(_lease, "time", clock)
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=lambda: next(is_done), on_wait=waited_for.append) as is_held:
        assert not is_held
    # Longer than the expiry, which the holder's heartbeats put off.
    assert clock.now > 2 * QUICK["expiry"]
    assert len(waited_for) == 1
    assert waited_for[0].endswith(f", process {holder.pid}")


def test_a_holder_that_is_gone_from_this_machine_is_not_waited_for(tmp_path, holder, clock):
    holder.kill()
    holder.join()
    with Lease(tmp_path / "lease", heartbeat=5, expiry=60).acquire(unless=never) as is_held:
        assert is_held
    assert clock.now == 0.0


def test_a_later_process_of_the_holders_number_is_not_the_holder(tmp_path, clock):
    """The number of a process that has ended is in use again: here that of this process's parent."""
    held = _lease._Held(tmp_path / "0")
    held.path.touch()
    held.facts["process"] = os.getppid()
    held.write(is_released=False)
    with Lease(tmp_path, heartbeat=5, expiry=60).acquire(unless=never) as is_held:
        assert is_held
    assert clock.now == 0.0


@pytest.mark.parametrize("change", [{"machine": "another one"}, {"machine": None}])
def test_the_lease_of_a_holder_that_was_killed_elsewhere_expires(tmp_path, holder, change, clock):
    holder.kill()
    holder.join()
    file = tmp_path / "lease" / "0"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never) as is_held:
        assert is_held
    assert QUICK["expiry"] <= clock.now < 2 * QUICK["expiry"]


def test_a_holder_that_was_stopped_and_replaced_does_not_take_the_lease_back(tmp_path, holder, clock, monkeypatch):
    first, second = tmp_path / "lease" / "0", tmp_path / "lease" / "1"
    os.kill(holder.pid, signal.SIGSTOP)
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never):
        before = first.read_bytes()
        os.kill(holder.pid, signal.SIGCONT)
        wait_until(lambda: first.read_bytes() != before)
        # The first holder's heartbeats must not hide that this one lives, nor the other way round.
        both = HeartbeatClock(first, second, seconds=0.75 * QUICK["expiry"])
        monkeypatch.setattr(_lease, "time", both)
        is_done = iter([False] * 12 + [True] * 100)
        with Lease(tmp_path / "lease", **QUICK).acquire(unless=lambda: next(is_done)) as is_held:
            assert not is_held
        assert both.now > 2 * QUICK["expiry"]
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never) as is_held:
        assert is_held


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


def test_a_file_whose_creator_died_before_it_wrote_expires(tmp_path, clock):
    (tmp_path / "0").touch()
    with Lease(tmp_path, **QUICK).acquire(unless=never) as is_held:
        assert is_held
    assert QUICK["expiry"] <= clock.now < 2 * QUICK["expiry"]


def test_who_does_not_wait_is_told_at_once_who_holds_it(tmp_path, holder, clock):
    lease = Lease(tmp_path / "lease", heartbeat=5, expiry=60)
    with pytest.raises(LeaseHeldError, match=f", process {holder.pid}$"), lease.acquire(unless=never, waits=False):
        pytest.fail("held twice")
    assert clock.now == 0.0


def told_elsewhere(file):
    """Another machine's holder."""
    file.write_text(json.dumps({**json.loads(file.read_text()), "machine": "another one"}))


def test_who_does_not_wait_looks_for_a_sign_of_life_from_another_machine(tmp_path, monkeypatch):
    file = tmp_path / "lease" / "0"
    beats = iter(range(100))

    class Clock(FakeClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            if self.now > 2.0:
                file.write_text(json.dumps({**json.loads(file.read_text()), "heartbeat": f"later {next(beats)}"}))

    with Lease(tmp_path / "lease").acquire(unless=never):
        told_elsewhere(file)
        clock = Clock()
        monkeypatch.setattr(_lease, "time", clock)
        lease = Lease(tmp_path / "lease", heartbeat=5, expiry=60)
        with pytest.raises(LeaseHeldError), lease.acquire(unless=never, waits=False):
            pytest.fail("held twice")
    # Not before it was seen to live, and long before it would have expired.
    assert 2.0 < clock.now < 10.0


def test_who_does_not_wait_takes_over_from_a_machine_that_is_gone(tmp_path, holder, clock):
    holder.kill()
    holder.join()
    told_elsewhere(tmp_path / "lease" / "0")
    with Lease(tmp_path / "lease", **QUICK).acquire(unless=never, waits=False) as is_held:
        assert is_held


def test_the_work_of_a_replaced_holder_leaves_the_lease_to_the_next(tmp_path, clock):
    folder, is_done = tmp_path / "lease", []
    first = Lease(folder).acquire(unless=lambda: bool(is_done))
    assert first.__enter__()
    # As if this process had been stopped for long.
    file = folder / "0"
    file.write_text(json.dumps({**json.loads(file.read_text()), "is_released": True}))
    with Lease(folder).acquire(unless=never):
        is_done.append(True)
        first.__exit__(None, None, None)
        assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]


def test_a_number_of_a_removed_lease_is_not_taken_in_the_new_one(tmp_path, clock):
    folder, old = tmp_path / "lease", []
    with pytest.raises(KeyError), Lease(folder).acquire(unless=never):
        raise KeyError("released, and not done")
    held = Lease(folder)

    def removed_meanwhile():
        # After the released file was read, and before the next number is created.
        old.append(True)
        if len(old) == 2:
            shutil.rmtree(folder)
            newer.__enter__()
        return False

    newer = Lease(folder).acquire(unless=never)
    with pytest.raises(LeaseHeldError), held.acquire(unless=removed_meanwhile, waits=False):
        pytest.fail("held twice")
    assert [path.name for path in folder.iterdir()] == ["0"]
    newer.__exit__(None, None, None)


def test_who_comes_when_the_work_is_done_leaves_no_file_either(tmp_path):
    answers = iter([False, True, True])
    with Lease(tmp_path / "lease").acquire(unless=lambda: next(answers)) as is_held:
        assert not is_held
    assert not list(tmp_path.iterdir())


def test_heartbeats_must_be_more_frequent_than_the_expiry(tmp_path):
    with pytest.raises(
        ValueError, match="`expiry` must be longer than `heartbeat`, which is above 0; got 1 and 1 seconds"
    ):
        Lease(tmp_path, heartbeat=1, expiry=1)


def test_on_a_full_disk_nobody_waits_for_who_could_not_take_it(tmp_path):
    """An empty file of a lease says nothing of its holder, and the next one would wait until it expires."""
    with disk(tmp_path / "disk") as place:
        filler = fill(place)
        with pytest.raises(OSError, match="No space left"), Lease(place / "lease", **PATIENT).acquire(unless=never):
            pytest.fail("held")
        assert not list((place / "lease").iterdir())
        filler.unlink()
        with Lease(place / "lease", **PATIENT).acquire(unless=never) as is_held:
            assert is_held
