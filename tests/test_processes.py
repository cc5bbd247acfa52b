from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE, wait_until

from lt_callbacks._processes import born, is_running, machine

WAITS = [sys.executable, "-c", "input()"]


@pytest.fixture
def child():
    process = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    yield process
    process.communicate(timeout=PATIENCE)


def test_processes_of_one_machine_have_one_name_for_it():
    code = "from lt_callbacks._processes import machine; print(machine(), end='')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert said.stdout == str(machine())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="nothing tells here when a process started")
def test_a_process_is_told_from_others_by_when_it_started(child):
    assert born(child.pid) == born(child.pid) is not None
    assert born(child.pid) != born(os.getpid())


def test_a_process_runs_until_it_has_ended_also_while_nobody_has_looked(child):
    assert is_running(os.getpid())
    assert is_running(child.pid)
    child.kill()
    # A zombie: its end was not asked for yet.
    wait_until(lambda: not is_running(child.pid))
    assert born(child.pid) is None
    child.wait(timeout=PATIENCE)
    assert not is_running(child.pid)
    assert born(child.pid) is None


def test_no_process_has_a_number_beyond_all():
    assert not is_running(2**80)
    assert born(2**80) is None
