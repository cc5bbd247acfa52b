"""Jobs side by side, and one after the other, that need one teacher."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from lease_clocks import FakeClock, HeartbeatClock
from patience import PATIENCE, wait_until
from stored import SETTINGS, Trainer, get
from torch import nn

from lt_callbacks import _lease
from lt_callbacks.teachers import TeacherStore


def events(store: TeacherStore) -> list[str]:
    return [str(event["event"]) for event in store.log.events()]


def train_in_process(folder: Path) -> tuple[nn.Module, bool]:
    """Say so and train, until the file ``may_end`` is there."""

    def train(module: nn.Module) -> None:
        (folder / "is_training").touch()
        wait_until((folder / "may_end").exists)
        Trainer()(module)

    return get(TeacherStore(folder / "store", lease_expiry=1.0), train)


@pytest.fixture
def other_job(tmp_path):
    """A process in the middle of training the teacher."""
    children = []

    def start():
        child = multiprocessing.get_context("fork").Process(target=train_in_process, args=(tmp_path,))
        child.start()
        children.append(child)
        wait_until(lambda: (tmp_path / "is_training").exists() or not child.is_alive())
        return child

    yield start
    for child in children:
        if child.is_alive():
            os.kill(child.pid, signal.SIGCONT)
            child.kill()
        child.join()


@pytest.mark.ddp
def test_two_processes_train_a_teacher_once(tmp_path, other_job, monkeypatch):
    child = other_job()
    waited_for = []
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    lease = tmp_path / "store" / "jobs" / "leases" / store.key(SETTINGS, "a" * 64)
    # The training goes on for longer than the lease lasts without a heartbeat.
    clock = HeartbeatClock(
        lease / "0", seconds=0.75, on_sleep=lambda count: (tmp_path / "may_end").touch() if count == 4 else None
    )
    monkeypatch.setattr(_lease, "time", clock)
    module, train = nn.Linear(2, 3), Trainer()
    is_reused = store.get_or_train(
        module, settings=SETTINGS, fingerprint="a" * 64, train=train, on_wait=waited_for.append
    )
    child.join(timeout=PATIENCE)
    assert child.exitcode == 0
    assert is_reused
    assert clock.now > 2.0
    assert train.count == 0
    assert bool((module.weight == 7).all())
    assert events(store) == ["training", "stored"]
    assert [text.split()[-1] for text in waited_for] == [str(child.pid)]


@pytest.mark.ddp
def test_a_job_that_is_killed_while_it_trains_does_not_hold_up_the_others(tmp_path, other_job):
    child = other_job()
    child.kill()
    child.join()
    train = Trainer()
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    assert not get(store, train)[1]
    assert train.count == 1
    assert events(store) == ["training", "training", "stored"]
    assert get(store, train)[1]


@pytest.mark.ddp
def test_a_job_that_was_taken_for_dead_does_not_overwrite_the_teacher(tmp_path, other_job, monkeypatch):
    child = other_job()
    os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setattr(_lease, "time", FakeClock())
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    assert not get(store, Trainer(5.0))[1]
    (tmp_path / "may_end").touch()
    os.kill(child.pid, signal.SIGCONT)
    child.join(timeout=PATIENCE)
    assert child.exitcode == 0
    assert events(store) == ["training", "training", "stored", "discarded"]
    assert bool((get(store, Trainer())[0].weight == 5).all())


def test_what_a_training_left_unfinished_is_there_for_the_next_and_then_removed(tmp_path):
    store = TeacherStore(tmp_path)
    left = store.unfinished(store.key(SETTINGS, "a" * 64))

    def fail(module: nn.Module) -> None:
        left.mkdir(parents=True)
        (left / "last.ckpt").touch()
        raise RuntimeError("preempted")

    def go_on(module: nn.Module) -> None:
        assert (left / "last.ckpt").exists()

    with pytest.raises(RuntimeError, match="preempted"):
        get(store, fail)
    get(store, go_on)
    assert not left.exists()
