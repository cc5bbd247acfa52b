"""Jobs side by side, and one after the other, that need one teacher."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from stored import SETTINGS, Trainer, get
from torch import nn

from lt_callbacks.teachers import TeacherStore


def events(store: TeacherStore) -> list[str]:
    return [str(event["event"]) for event in store.log.events()]


def train_in_process(folder: Path, seconds: float) -> tuple[nn.Module, bool]:
    """Train slowly, after having said so."""

    def train(module: nn.Module) -> None:
        (folder / "is_training").touch()
        time.sleep(seconds)
        Trainer()(module)

    return get(TeacherStore(folder / "store", lease_expiry=1.0), train)


@pytest.fixture
def other_job(tmp_path):
    """A process in the middle of training the teacher, for ``seconds``."""
    children = []

    def start(seconds: float):
        child = multiprocessing.get_context("fork").Process(target=train_in_process, args=(tmp_path, seconds))
        child.start()
        children.append(child)
        for _ in range(600):
            if (tmp_path / "is_training").exists() or not child.is_alive():
                return child
            time.sleep(0.05)
        raise TimeoutError

    yield start
    for child in children:
        if child.is_alive():
            os.kill(child.pid, signal.SIGCONT)
            child.kill()
        child.join()


@pytest.mark.ddp
def test_two_processes_train_a_teacher_once(tmp_path, other_job):
    # Longer than the lease lasts without a heartbeat.
    child = other_job(2.0)
    waited_for = []
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    module, train = nn.Linear(2, 3), Trainer()
    is_reused = store.get_or_train(
        module, settings=SETTINGS, fingerprint="a" * 64, train=train, on_wait=waited_for.append
    )
    child.join(timeout=60)
    assert child.exitcode == 0
    assert is_reused
    assert train.count == 0
    assert bool((module.weight == 7).all())
    assert events(store) == ["training", "stored"]
    assert [text.split()[-1] for text in waited_for] == [str(child.pid)]


@pytest.mark.ddp
def test_a_job_that_is_killed_while_it_trains_does_not_hold_up_the_others(tmp_path, other_job):
    child = other_job(60.0)
    child.kill()
    child.join()
    train = Trainer()
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    assert not get(store, train)[1]
    assert train.count == 1
    assert events(store) == ["training", "training", "stored"]
    assert get(store, train)[1]


@pytest.mark.ddp
def test_a_job_that_was_taken_for_dead_does_not_overwrite_the_teacher(tmp_path, other_job):
    child = other_job(1.0)
    os.kill(child.pid, signal.SIGSTOP)
    store = TeacherStore(tmp_path / "store", lease_expiry=1.0)
    assert not get(store, Trainer(5.0))[1]
    os.kill(child.pid, signal.SIGCONT)
    child.join(timeout=60)
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
