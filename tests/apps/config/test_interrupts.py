from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from patience import PATIENCE

from lt_callbacks.apps.config import interrupts
from lt_callbacks.apps.config.interrupts import EXIT_CODE, Interrupted, ended_by_interrupt, told


@pytest.fixture(autouse=True)
def _handler():
    """As a terminal has it, and as it was afterwards."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_press_ends_the_command_with_a_line(capsys):
    with pytest.raises(SystemExit) as ended, ended_by_interrupt():
        press()
    assert ended.value.code == EXIT_CODE == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_second_press_does_not_disturb_what_the_first_one_ends(capsys):
    put_away = []

    def work():
        try:
            press()
        finally:
            press()
            put_away.append(True)

    with pytest.raises(SystemExit), ended_by_interrupt():
        work()
    assert put_away == [True]
    assert capsys.readouterr().err == "Stopped.\n"


def test_a_later_press_ends_what_the_first_one_did_not(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: now[0])
    reached = []

    def work():
        with pytest.raises(KeyboardInterrupt):
            press()
        # Somebody's code has swallowed it.
        now[0] += 10
        press()
        reached.append(True)

    with pytest.raises(SystemExit), ended_by_interrupt():
        work()
    assert reached == []


def test_who_was_told_already_is_not_told_again(capsys):
    with pytest.raises(SystemExit) as ended, ended_by_interrupt():
        raise Interrupted
    assert ended.value.code == EXIT_CODE
    assert capsys.readouterr().err == ""


def test_without_a_press_nothing_is_different():
    @ended_by_interrupt()
    def command(value):
        return value

    assert command(3) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyError), ended_by_interrupt():
        raise KeyError("a bug")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_handler_of_somebody_else_stays(handler):
    signal.signal(signal.SIGINT, handler)
    with ended_by_interrupt():
        assert signal.getsignal(signal.SIGINT) is handler
        press()
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_leave_signals_alone():
    found = []

    def run():
        with ended_by_interrupt():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (KeyboardInterrupt(), Interrupted),
        # Lightning's word for it.
        (SystemExit(1), Interrupted),
        (SystemExit(143), SystemExit),
        (SystemExit(0), SystemExit),
    ],
)
def test_only_a_press_counts_as_told(stop, expected):
    found = told(stop)
    assert type(found) is expected
    assert (found is stop) == (expected is SystemExit)


SCRIPT = """
import sys, time
from lt_callbacks.apps.config.interrupts import ended_by_interrupt

@ended_by_interrupt()
def main():
    try:
        print("ready", flush=True)
        time.sleep({seconds})
    finally:
        time.sleep(0.5)
        print("put away", flush=True)

sys.exit(main())
"""


def test_a_process_that_is_interrupted_twice_shows_no_trace():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(seconds=2 * PATIENCE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests in a shell's background would hand on that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said, complained) == (130, "put away\n", "Stopped.\n")


SWALLOWS = """
import time
print("ready", flush=True)
try:
    time.sleep({seconds})
except BaseException:
    print("as modules do that are half imported", flush=True)
"""


def test_a_process_that_is_interrupted_while_it_imports_ends_at_once(tmp_path):
    (tmp_path / "swallows.py").write_text(SWALLOWS.format(seconds=2 * PATIENCE))
    script = (
        "from lt_callbacks.apps.config.interrupts import ended_by_interrupt\nwith ended_by_interrupt(): import swallows"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said, complained) == (130, "", "Stopped.\n")
