from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from commands import is_alive
from patience import PATIENCE, wait_until

from lt_callbacks.apps.train.rank_processes import end_session, said_lines

# Starts a child that says its number and then waits, stopped or not; with an argument, ends before it.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(10_000)"])
print("begun", flush=True)
if len(sys.argv) > 1:
    time.sleep(1)
    sys.exit(int(sys.argv[1]))
child.wait()
"""


@pytest.fixture
def start():
    started = []

    def begin(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        end_session(process)
        process.wait()


def lines_of(process, **settings):
    return said_lines(process, **{"look": lambda: None, "has_failed": lambda: False, **settings})


def test_it_gives_every_line_until_all_have_ended(start):
    process = start("print('a'); print('b', flush=True); import time; time.sleep(.1); print('c')")
    assert list(lines_of(process)) == ["a\n", "b\n", "c\n"]
    assert process.wait(PATIENCE) == 0


def test_a_stopped_child_of_a_process_that_has_ended_does_not_hold_it_up(start):
    """The first rank had failed, and the command waited for ever for the output of one that was stopped."""
    process, child = start(PARENT, "3"), None
    for line in lines_of(process, seconds_to_end=0.5):
        if line.strip().isdigit():
            child = int(line)
            os.kill(child, signal.SIGSTOP)
    assert process.wait(PATIENCE) == 3
    wait_until(lambda: not is_alive(child))


def test_where_a_rank_elsewhere_has_failed_processes_that_wait_for_it_are_ended(start):
    process = start(PARENT)
    has_failed = []
    for line in lines_of(process, seconds_to_end=0.5, has_failed=lambda: bool(has_failed)):
        has_failed.append(line)
    assert process.wait(PATIENCE) == -signal.SIGKILL


def test_it_looks_around_while_nothing_is_said_and_while_much_is(start):
    looks = []
    for code in (
        "import time; time.sleep(3)",
        "import time\nfor _ in range(300): print('x', flush=True); time.sleep(.01)",
    ):
        looks.clear()
        for _ in lines_of(start(code), look=lambda: looks.append(1)):
            pass
        assert looks


def test_an_error_of_what_looks_around_reaches_the_caller(start):
    def look():
        raise KeyError("interrupted")

    with pytest.raises(KeyError, match="interrupted"):
        list(lines_of(start(PARENT), look=look))


def test_a_session_is_ended_with_its_stopped_members_and_ending_it_again_does_nothing(start):
    process = start(PARENT)
    child = next(int(line) for line in lines_of(process) if line.strip().isdigit())
    os.kill(child, signal.SIGSTOP)
    end_session(process)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: not is_alive(child))
    end_session(process)
