from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

#: Seconds that processes have for their own end once their first one has ended, or a rank elsewhere has failed.
SECONDS_TO_END = 30.0


def said_lines(
    process: subprocess.Popen[str],
    *,
    look: Callable[[], None],
    has_failed: Callable[[], bool],
    seconds_to_end: float = SECONDS_TO_END,
) -> Iterator[str]:
    """The lines that a process and its children say, until all of them have ended; in between, one looks around.

    Children that hold the output open do not hold this up for ever: where the process itself has ended, or a rank that
    another driver started has failed, they have half a minute, and are then killed. A stopped process does not end by
    itself.

    Args:
        process: The first of a session, whose output is read.
        look: Called about once a second.
        has_failed: Whether a rank has failed, here or elsewhere.
        seconds_to_end: The half minute.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True, name="ranks' words").start()
    looked = time.monotonic()
    over_since: float | None = None
    while True:
        line: str | None = ""
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=1.0)
        if line is None:
            return
        if line:
            yield line
        now = time.monotonic()
        if now - looked < 1.0:
            continue
        looked = now
        look()
        if process.poll() is None and not has_failed():
            continue
        over_since = now if over_since is None else over_since
        if now - over_since > seconds_to_end:
            end_session(process)
            # What was written before is still to be read.
        if now - over_since > 2 * seconds_to_end:
            return


def end_session(process: subprocess.Popen[str]) -> None:
    """Kill a process that started a session, and its children, stopped ones too; what has ended has ended."""
    # The number is that of the session, which no other process gets while a member lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(stream: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    # A line that is cut off in the middle of a character must not end the reading.
    with contextlib.suppress(ValueError, OSError):
        for line in stream or ():
            lines.put(line)
    lines.put(None)
