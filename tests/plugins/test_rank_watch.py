from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch
import torch.distributed as dist
from patience import PATIENCE, wait_until

from lt_callbacks._errors import StateError
from lt_callbacks.plugins import rank_watch as module
from lt_callbacks.plugins.rank_watch import Failure, RankWatch, name_cause

FAILURE = Failure(1, "OSError: the teacher's disk is gone")
TOLD = "Rank 1 of this training failed, and the others end with it: OSError: the teacher's disk is gone"


class Fits:
    """What a callback asks of a trainer here."""

    def __init__(self, *callbacks):
        self.callbacks = list(callbacks)


def joined(store, rank, size=2):
    """A watch that has met the others at ``store``."""
    watch = RankWatch()
    watch.join(store, rank=rank, size=size)
    return watch


@pytest.fixture
def watches():
    store = dist.HashStore()
    made = [joined(store, rank) for rank in range(2)]
    yield made
    for watch in made:
        watch.teardown(Fits(), None, "fit")


def test_what_a_rank_failed_of_reaches_the_other_and_comes_before_what_that_noticed_of_it(watches):
    first, second = watches
    second.on_exception(Fits(), None, OSError("the teacher's disk is gone"))
    # It has been read when the rank that failed goes on to its end.
    assert first.failure == FAILURE
    noticed = RuntimeError("Connection closed by peer")
    first.on_exception(Fits(), None, noticed)
    assert str(noticed) == f"{TOLD} (What this rank noticed of it: Connection closed by peer)"
    assert type(noticed) is RuntimeError


def test_the_rank_that_failed_keeps_its_own_error(watches):
    _, second = watches
    error = RuntimeError("out of memory")
    second.on_exception(Fits(), None, error)
    assert error.args == ("out of memory",)


def test_ranks_that_raise_alike_keep_their_errors(watches):
    errors = [StateError("`noise_teacher` must give finite outputs") for _ in watches]
    threads = [
        threading.Thread(target=watch.on_exception, args=(Fits(), None, error))
        for watch, error in zip(watches, errors, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [str(error) for error in errors] == ["`noise_teacher` must give finite outputs"] * 2


@pytest.mark.parametrize("error", [dist.DistBackendError("x"), dist.DistNetworkError("x"), RuntimeError("x")])
def test_errors_of_exchanges_get_the_cause(error):
    name_cause(error, FAILURE)
    assert str(error) == f"{TOLD} (What this rank noticed of it: x)"


@pytest.mark.parametrize("error", [ValueError("x"), StateError("x"), KeyError("x"), torch.OutOfMemoryError("x")])
def test_errors_of_other_kinds_are_a_ranks_own(error):
    before = str(error)
    name_cause(error, FAILURE)
    assert str(error) == before


@pytest.mark.parametrize("ending", [SystemExit(143), KeyboardInterrupt()])
def test_a_request_to_stop_is_no_failure(watches, ending):
    first, second = watches
    second.on_exception(Fits(), None, ending)
    noticed = RuntimeError("Connection closed by peer")
    first.on_exception(Fits(), None, noticed)
    assert str(noticed) == "Connection closed by peer"


def test_it_leaves_the_trainer_with_its_companion_and_its_thread_ends():
    companion, other = RankWatch(), RankWatch()
    watch = RankWatch(companion=companion)
    watch.join(dist.HashStore(), rank=0, size=2)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "rank watch"]
    trainer = Fits(watch, companion, other)
    watch.teardown(trainer, None, "fit")
    assert trainer.callbacks == [other]
    wait_until(lambda: not thread.is_alive())


def test_a_rank_whose_others_are_gone_does_not_wait_for_them(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_TO_BE_HEARD", 0.1)
    watch = joined(dist.HashStore(), 0, size=3)
    error = ValueError("x")
    watch.on_exception(Fits(), None, error)
    assert str(error) == "x"


def test_a_store_that_is_gone_ends_the_listening(tmp_path):
    class Gone:
        def __getattr__(self, name):
            def ask(*_):
                raise dist.DistNetworkError("failed to recv, got 0 bytes")

            return ask

    watch = joined(Gone(), 0)
    noticed = RuntimeError("Connection closed by peer")
    watch.on_exception(Fits(), None, noticed)
    assert str(noticed) == "Connection closed by peer"


def test_a_rank_that_is_held_up_is_ended_with_the_message():
    """As one is that waits in an exchange which nothing breaks."""
    script = (
        "import time; from lt_callbacks.plugins import rank_watch as module; import torch.distributed as dist\n"
        "module.SECONDS_TO_END = 0.2; store = dist.HashStore(); watches = []\n"
        "for rank in range(2): watches.append(module.RankWatch()); watches[-1].join(store, rank=rank, size=2)\n"
        'watches[1]._tell(OSError("the teacher\'s disk is gone"))\n'
        "time.sleep(10_000)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr.strip().splitlines()[-1]) == (1, TOLD)
