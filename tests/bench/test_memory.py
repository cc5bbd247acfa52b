import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from lt_callbacks.bench.memory import in_own_process, peak_memory
from lt_callbacks.bench.problems import Problem

CAN_RESET = Path("/proc/self/clear_refs").exists()


@pytest.mark.skipif(not CAN_RESET, reason="the system cannot set a peak back")
def test_a_peak_is_what_an_action_holds_at_most_and_is_set_back():
    # In a process that does nothing else: in one that ran other tests, memory of theirs goes back meanwhile.
    code = """
import torch
from lt_callbacks.bench.memory import peak_of

def hold(mib):
    torch.ones(mib << 18).sum()

hold(80)
print(peak_of(lambda: hold(64)), peak_of(lambda: None))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    held, nothing = map(float, done.stdout.split())
    assert 55 < held < 80
    assert nothing < 8


@pytest.mark.slow
@pytest.mark.skipif(not CAN_RESET, reason="the system cannot set a peak back")
def test_memory_grows_with_the_problem():
    rows = [peak_memory(Problem("corr", n, 500, 3.0), ["naive log-domain"], device="cpu") for n in (256, 4096)]
    small, large = (row["memory"]["naive log-domain"]["peak_mib"] for row in rows)
    assert rows[1]["problem_mib"] == pytest.approx(7.8, abs=0.1)
    # Several matrices are held by a loop that makes temporaries of the whole.
    assert large > 7.8
    assert large > 4 * small


def test_what_fails_in_its_process_says_why():
    found = in_own_process("lt_callbacks.bench.memory", {"problem": "corr:8x4:1", "solver": "nobody"})
    assert "peak_mib" not in found
    assert "KeyError" in found["not_measured"]


@pytest.mark.skipif(not CAN_RESET, reason="the system cannot set a peak back")
def test_the_memory_of_a_solution_is_measured():
    found = peak_memory(Problem("corr", 4096, 500, 3.0), ["naive log-domain"], device="cpu")
    # A loop that makes temporaries of the whole holds the plan and one of them at least.
    assert 2 * 7.8 - 1 < found["memory"]["naive log-domain"]["peak_mib"] < 100
