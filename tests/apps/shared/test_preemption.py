from __future__ import annotations

import os
import signal
import threading

import pytest

from lt_callbacks.apps.shared.preemption import SIGNALS, Preempted, Preemption, requeue

HANDLERS_OF_NOBODY = (signal.SIG_DFL, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def _handlers():
    """As they were, whatever a test does."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_that_was_asked_to_stop_ends_as_one_that_sigterm_ended():
    error = Preempted("asked to stop in epoch 3")
    assert isinstance(error, SystemExit)
    assert not isinstance(error, Exception)
    assert error.code == 143 == 128 + signal.SIGTERM
    assert str(error) == error.why == "asked to stop in epoch 3"


def test_signals_of_schedulers_are_listened_to():
    assert set(SIGNALS) == {signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("before", HANDLERS_OF_NOBODY)
def test_a_signal_is_a_request_and_does_not_end_the_process(number, before):
    signal.signal(number, before)
    preemption = Preemption()
    with preemption.listening() as listening:
        assert listening is preemption
        assert not preemption.is_requested
        signal.raise_signal(number)
        assert preemption.is_requested
        assert preemption.signal == number
    assert signal.getsignal(number) == before
    # A request stays one.
    assert preemption.is_requested


@pytest.mark.parametrize("number", SIGNALS)
def test_the_handler_before_is_called_too_and_comes_back_also_after_an_error(number):
    seen = []
    signal.signal(number, lambda received, frame: seen.append((received, frame is not None)))
    own = signal.getsignal(number)
    preemption = Preemption()

    def fail():
        with preemption.listening():
            signal.raise_signal(number)
            raise KeyError("training failed")

    with pytest.raises(KeyError):
        fail()
    assert seen == [(number, True)]
    assert preemption.signal == number
    assert signal.getsignal(number) is own
    signal.raise_signal(number)
    assert len(seen) == 2


def test_a_handler_before_that_raises_does_not_lose_the_request(tmp_path):
    def refuse(number, frame):
        raise TimeoutError("the launcher's own")

    signal.signal(signal.SIGUSR2, refuse)
    preemption = Preemption()
    with preemption.listening(), preemption.passed_on(tmp_path / "stop"), pytest.raises(TimeoutError):
        signal.raise_signal(signal.SIGUSR2)
    assert preemption.is_requested
    assert (tmp_path / "stop").exists()


def test_a_sweep_and_its_job_in_one_process_both_hear_it():
    sweep, job = Preemption(), Preemption()
    with sweep.listening():
        with job.listening():
            signal.raise_signal(signal.SIGTERM)
        assert (sweep.signal, job.signal) == (signal.SIGTERM, signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
        assert (sweep.signal, job.signal) == (signal.SIGUSR1, signal.SIGTERM)


def test_a_file_is_a_request_from_when_it_is_there(tmp_path):
    preemption = Preemption(file=tmp_path / "stop")
    with preemption.listening():
        assert not preemption.is_requested
        (tmp_path / "stop").touch()
        assert preemption.is_requested
    assert preemption.signal is None


def test_a_request_is_passed_on_as_a_file_while_others_are_waited_for(tmp_path):
    preemption = Preemption()
    with preemption.listening():
        with preemption.passed_on(tmp_path / "first"):
            assert not (tmp_path / "first").exists()
            signal.raise_signal(signal.SIGUSR1)
            assert (tmp_path / "first").exists()
        # One that came before the others were started reaches them too.
        with preemption.passed_on(tmp_path / "second"):
            assert (tmp_path / "second").exists()


def test_nothing_is_passed_on_after_the_block_also_where_it_failed(tmp_path):
    preemption = Preemption()

    def fail():
        with preemption.passed_on(tmp_path / "stop"):
            raise KeyError("a rank failed")

    with preemption.listening():
        with pytest.raises(KeyError):
            fail()
        signal.raise_signal(signal.SIGTERM)
    assert preemption.is_requested
    assert not (tmp_path / "stop").exists()


def test_another_thread_can_listen_to_files_only(tmp_path):
    found = {}
    before = [signal.getsignal(number) for number in SIGNALS]

    def listen():
        with Preemption(file=tmp_path / "stop").listening() as preemption:
            found["handlers"] = [signal.getsignal(number) for number in SIGNALS]
            found["early"] = preemption.is_requested
            (tmp_path / "stop").touch()
            found["late"] = preemption.is_requested

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == {"handlers": before, "early": False, "late": True}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Calls a `scontrol` that notes what it was told; returns what that was, and what was said."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SUBMITIT_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(code: int = 0) -> None:
        program = folder / "scontrol"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nexit {code}\n')
        program.chmod(0o755)

    def ask(number: int | None = signal.SIGUSR1, **variables: str) -> tuple[str, list[str]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        preemption, said = Preemption(), []
        preemption.signal = number
        requeue(preemption, say=said.append)
        called = tmp_path / "called"
        return called.read_text() if called.exists() else "", said

    put()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    ask.put = put
    return ask


@pytest.mark.ddp
def test_a_slurm_job_that_makes_room_is_put_back_into_its_queue(slurm):
    called, said = slurm(SLURM_JOB_ID="123")
    assert called == "requeue 123\n"
    assert said == ["Slurm job 123 is back in its queue."]


@pytest.mark.ddp
def test_a_task_of_a_job_array_is_put_back_and_not_the_whole_array(slurm):
    called, said = slurm(SLURM_JOB_ID="125", SLURM_ARRAY_JOB_ID="123", SLURM_ARRAY_TASK_ID="2")
    assert called == "requeue 123_2\n"
    assert said == ["Slurm job 123_2 is back in its queue."]


@pytest.mark.ddp
@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGUSR2])
def test_a_job_that_was_cancelled_is_not_put_back(slurm, number):
    assert slurm(number, SLURM_JOB_ID="123") == ("", [])


@pytest.mark.ddp
def test_submitit_puts_its_jobs_back_itself(slurm):
    assert slurm(SLURM_JOB_ID="123", SUBMITIT_EXECUTOR="slurm") == ("", [])


@pytest.mark.ddp
def test_outside_of_slurm_nothing_happens(slurm):
    assert slurm() == ("", [])


@pytest.mark.ddp
def test_a_job_that_cannot_be_put_back_says_so(slurm):
    slurm.put(code=1)
    called, (said,) = slurm(SLURM_JOB_ID="123")
    assert called == "requeue 123\n"
    assert said.startswith("Slurm job 123 could not be put back into its queue: ")
    assert "exit status 1" in said
    assert said.endswith(". Submit it again.")


def test_a_machine_without_scontrol_says_so(slurm, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    called, (said,) = slurm(SLURM_JOB_ID="123")
    assert called == ""
    assert said.startswith("Slurm job 123 could not be put back into its queue: ")
    assert "scontrol" in said
