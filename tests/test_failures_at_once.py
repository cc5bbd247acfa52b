import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from failures_at_once import FailuresAtOnce

def pytest_configure(config):
    config.pluginmanager.register(FailuresAtOnce(config))
"""
TESTS = """
import os
import pytest

def test_a_sum():
    assert 1 + 1 == 3

@pytest.fixture
def broken():
    raise KeyError("not there")

def test_with_a_fixture(broken):
    pass

def test_well():
    pass

def test_last():
    os._exit(3) if "PYTEST_XDIST_WORKER" in os.environ else None
"""


@pytest.mark.ddp
@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["one process", "a worker"])
def test_failures_are_told_before_the_end(tmp_path, arguments):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stdout
    # The summary of the end begins here.
    at_once = shown.partition("=== ")[0]
    assert (
        "FAILED (call) test_some.py::test_a_sum\nE       assert (1 + 1) == 3\ntest_some.py:6: AssertionError" in at_once
    )
    assert "FAILED (setup) test_some.py::test_with_a_fixture\nE       KeyError: 'not there'" in at_once
    assert "test_well" not in at_once
    # A worker that dies takes its test with it.
    assert ("test_some.py::test_last" in at_once) == bool(arguments)
