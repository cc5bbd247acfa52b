"""Tests run against a changed copy of the package, each in a child of one process that has imported the libraries.

A process that imports torch and Lightning anew needs ten seconds before its first test. This one imports them once and
never the package: a child, forked before anything was computed, finds the copy first.

The process is ``python forked_tests.py``. A line of its input is what to run as JSON, see `ForkedTests.run`, and its
answer a line with the exit code of pytest.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

#: Exit codes of a child whose copy was not the one imported, that was not done in time, and that ran no test.
NOT_THE_COPY, TOO_LATE, NOT_RUN = 99, 98, 97

# What most tests import. None of it may start a thread: a child has only the one that forks.
_IMPORTED_ONCE = (
    "filelock", "hydra", "jinja2", "lightning.pytorch", "matplotlib.figure", "matplotlib.patches", "omegaconf",
    "PIL.Image", "rich.console", "rich.progress", "safetensors.torch", "scipy.special", "sklearn.datasets", "torch",
    "torchmetrics", "torchvision.transforms.v2",
)  # fmt: skip


class ForkedTests:
    """The process that tests are forked from, as its user sees it; one test at a time.

    Args:
        root: Of the repository, where tests run.
    """

    def __init__(self, root: Path) -> None:
        # Imports must start no pool of threads.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: Sequence[str], *, copy: Path, log: Path, patience: float) -> int:
        """The exit code of pytest for some tests, with ``copy`` in front of all other places that modules are found in.

        Args:
            tests: Their IDs, or files of tests.
            copy: Folder that holds a package ``lt_callbacks``.
            log: File for their output.
            patience: Seconds that they may take.
        """
        request = {"copy": str(copy), "tests": list(tests), "log": str(log), "patience": patience}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that tests are forked from has ended; it said why on its standard error")
        return int(answer)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """Import, then answer requests until the input ends."""
    # As `python -m pytest` has it, in place of the folder of this file.
    sys.path[0] = str(Path.cwd())
    for name in ("pytest", *_IMPORTED_ONCE):
        importlib.import_module(name)
    if any(name.partition(".")[0] == "lt_callbacks" for name in sys.modules):
        raise RuntimeError("the package itself was imported: a child could not import its copy")
    threads = Path("/proc/self/task")
    if threads.is_dir() and len(list(threads.iterdir())) > 1:
        raise RuntimeError(f"an import has started threads, which no child would have: {threads}")
    # A child that collects garbage would otherwise copy every page of it.
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(f"{_forked(json.loads(line))}\n")
        sys.stdout.flush()


def _forked(request: dict) -> int:
    child = os.fork()
    if child == 0:
        _be_the_tests(request)
    end = time.monotonic() + request["patience"]
    status = None
    while status is None and time.monotonic() < end:
        pid, found = os.waitpid(child, os.WNOHANG)
        status = found if pid else time.sleep(0.02)
    # Also what the test has started and left behind.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
        return TOO_LATE
    return os.waitstatus_to_exitcode(status)


def _be_the_tests(request: dict) -> None:
    code = NOT_RUN
    try:
        os.setsid()
        log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # For the processes that the test starts.
        os.environ["PYTHONPATH"] = request["copy"]
        sys.path.insert(0, request["copy"])
        code = _tested(request)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Nothing of the parent's is to be closed or written a second time.
        os._exit(code)


def _tested(request: dict) -> int:
    import pytest

    import lt_callbacks

    if not lt_callbacks.__file__.startswith(request["copy"]):
        return NOT_THE_COPY
    return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *request["tests"]]))


if __name__ == "__main__":
    main()
