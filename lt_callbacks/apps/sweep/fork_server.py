"""Jobs forked from one process that has imported what they run: a sweep pays for its imports once.

The process is ``python -m lt_callbacks.apps.sweep.fork_server ENTRY DESCRIPTOR``. It only imports; a job is a copy of
it from before anything was computed, with a session, a log and random numbers of its own.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from lt_callbacks.apps.sweep import job

_SECONDS_BETWEEN_LOOKS = 0.05


class CannotForkError(Exception):
    """The process must not be forked once it has imported what a job runs: jobs need fresh processes."""


@dataclass(frozen=True)
class JobRequest:
    """What a fork server is told of a job.

    Attributes:
        folder: With the job's record.
        log: File that the job's output is added to.
        working_directory: The job's.
    """

    folder: Path
    log: Path
    working_directory: Path


class ForkServer:
    """The process that jobs are forked from, as the sweep sees it; it runs one job at a time.

    `poll`, `terminate` and `kill` are about the job that was started last, as a `subprocess.Popen`'s are about its
    process. When the sweep's process is gone, the server ends, and with it the job.

    Args:
        entry: See `lt_callbacks.apps.sweep.job.main`.
        environment: Of the server and of its jobs; libraries read theirs when they are imported.
        log: File for what the imports say.
    """

    def __init__(self, entry: str, environment: Mapping[str, str], *, log: Path) -> None:
        self.entry, self.environment = entry, dict(environment)
        self._channel, theirs = Pipe()
        command = [sys.executable, "-m", __name__, entry, str(theirs.fileno())]
        with theirs, log.open("a") as stream:
            self._process = subprocess.Popen(
                command,
                env=self.environment,
                pass_fds=[theirs.fileno()],
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._is_ready = False
        self._waiting: JobRequest | None = None

    def start(self, request: JobRequest) -> None:
        """Have a job started, as soon as the imports are done."""
        if self._is_ready:
            self._send(request)
        else:
            self._waiting = request

    @property
    def is_alive(self) -> bool:
        """Whether it can start a job."""
        return self._process.poll() is None

    def poll(self) -> int | None:
        """Exit code of the job; None while it runs.

        Raises:
            CannotForkError: The server will not start the job.
        """
        try:
            if not self._channel.poll():
                return None
            answer: int | bool = self._channel.recv()
        except (EOFError, ConnectionError):
            # The server was killed, and its job ends with it.
            return self._process.wait() or 1
        if self._is_ready:
            return answer
        if not answer:
            raise CannotForkError
        self._is_ready = True
        if self._waiting is not None:
            self._send(self._waiting)
        return None

    def terminate(self) -> None:
        """Ask the job to save and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the job at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """End the server, which has no job."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _signal(self, number: int) -> None:
        if self._is_ready:
            self._send(number)
        else:
            self._process.send_signal(number)

    def _send(self, message: JobRequest | int) -> None:
        # Of a server that was killed, `poll` tells.
        with suppress(ConnectionError):
            self._channel.send(message)


def serve(entry: str, channel: Connection) -> None:
    """Import what a job runs, and start a job for each request until the sweep is gone."""
    if not _import_all(entry):
        channel.send(False)
        return
    # A job's collections of garbage then need not copy the memory of all that was imported.
    gc.freeze()
    channel.send(True)
    while (request := _next_request(channel)) is not None:
        # What is in a buffer would be written by the copy, too.
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            channel.close()
            _run(entry, request)
        code = _watched(process, channel)
        if code is None:
            return
        channel.send(code)


def _import_all(entry: str) -> bool:
    """Whether the process can be forked afterwards."""
    try:
        command = importlib.import_module(entry.partition(":")[0])
        for name in getattr(command, "USED_LATER", ()):
            importlib.import_module(name)
    except Exception:
        # A fresh process meets the same error where it can record it.
        return False
    # A copy has one thread, whatever the others held. Those of BLAS libraries end, by design, before a fork and begin
    # again when they are needed; whoever is still there after one has to be left alone.
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    return len(list(Path("/proc/self/task").iterdir())) == 1


def _next_request(channel: Connection) -> JobRequest | None:
    """None when the sweep is gone."""
    while True:
        try:
            message = channel.recv()
        except (EOFError, ConnectionError):
            return None
        # A signal for a job that ended just then is nobody's.
        if isinstance(message, JobRequest):
            return message


def _watched(process: int, channel: Connection) -> int | None:
    """Exit code of a job, negative where a signal ended it; None when the sweep is gone."""
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        try:
            if channel.poll(_SECONDS_BETWEEN_LOOKS):
                os.kill(process, channel.recv())
        except (EOFError, ConnectionError):
            return None


def _run(entry: str, request: JobRequest) -> NoReturn:
    """What a job does in its copy of the process."""
    os.setsid()
    os.chdir(request.working_directory)
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(log)
    _reseed()
    code = 1
    try:
        code = job.main(entry, request.folder)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # As an interpreter ends, but for the last step: to take a copy of all modules down costs a second.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


def _reseed() -> None:
    """Give the copy random numbers of its own, as a fresh process has. Python's own generator sees to itself."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


if __name__ == "__main__":
    # Imported by name: the requests are made of this module's class.
    from lt_callbacks.apps.sweep import fork_server

    # A sweep that is gone can no longer be told anything.
    with suppress(ConnectionError):
        fork_server.serve(sys.argv[1], Connection(int(sys.argv[2])))
    os._exit(0)
