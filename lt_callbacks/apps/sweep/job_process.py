"""The process of a sweep's job: forked from one that has imported everything, or fresh."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from lt_callbacks.apps.config.job_record import LOG
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.sweep.fork_server import CannotForkError, ForkServer, JobRequest

_SECONDS_TO_SAVE = 90.0
_SECONDS_BETWEEN_LOOKS = 0.1

#: macOS has fork, and libraries that do not survive it.
CAN_FORK = sys.platform == "linux"

# Servers without a job. Each slot of a launcher is a process, or a thread, that runs one job at a time.
_idle: list[ForkServer] = []

# Entries whose imports leave a process that must not be forked.
_unforkable: set[str] = set()


class _Process(Protocol):
    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def run_job_process(entry: str, folder: Path, environment: Mapping[str, str], *, rank: int, is_forked: bool) -> int:
    """Run one job in a process of its own, and wait for it; its exit code, negative where a signal ended it.

    Args:
        entry: See `lt_callbacks.apps.sweep.job.main`.
        folder: With the job's record; gets its log.
        environment: Of the job.
        rank: Of this process, where a launcher started several for the job.
        is_forked: Whether the job may be forked from a process that has its imports; otherwise its process is fresh.

    Raises:
        KeyboardInterrupt, Preempted: The sweep was asked to stop. The job was, too, and has ended.
    """
    log = folder / (LOG if rank == 0 else f"job-{rank}.log")
    with Preemption().listening() as preemption:
        if is_forked and rank == 0 and CAN_FORK and entry not in _unforkable:
            request = JobRequest(folder=folder, log=log, working_directory=Path.cwd())
            try:
                return _run_forked(entry, request, environment, preemption)
            except CannotForkError:
                _unforkable.add(entry)
        command = [sys.executable, "-m", "lt_callbacks.apps.sweep.job", entry, str(folder), str(rank)]
        with log.open("a") as stream:
            # A session of its own: a terminal's interrupt reaches the sweep alone, which has the job save first.
            process = subprocess.Popen(
                command, env=dict(environment), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        return _waited_for(process, preemption)


def end_fork_servers() -> None:
    """Let the processes go that jobs were forked from; a next job starts another."""
    while _idle:
        _idle.pop().close()


def _run_forked(entry: str, request: JobRequest, environment: Mapping[str, str], preemption: Preemption) -> int:
    server = _fork_server(entry, environment, request.log)
    try:
        server.start(request)
        code = _waited_for(server, preemption)
    except BaseException:
        server.close()
        raise
    _idle.append(server)
    return code


def _fork_server(entry: str, environment: Mapping[str, str], log: Path) -> ForkServer:
    """One that imported the same for the same environment, which libraries read when they are imported."""
    while _idle:
        server = _idle.pop()
        if server.is_alive and (server.entry, server.environment) == (entry, environment):
            return server
        server.close()
    return ForkServer(entry, environment, log=log)


def _waited_for(process: _Process, preemption: Preemption) -> int:
    try:
        while (code := process.poll()) is None:
            if preemption.is_requested:
                raise Preempted("asked to stop")
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except BaseException:
        _end(process)
        raise
    return code


def _end(process: _Process) -> None:
    """Let a job save and end, and end it where it does not."""
    process.terminate()
    deadline = time.monotonic() + _SECONDS_TO_SAVE
    with suppress(CannotForkError):
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
