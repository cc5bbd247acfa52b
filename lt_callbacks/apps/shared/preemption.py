from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

#: Sent by schedulers some time before they take the machine away.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))


class Preempted(SystemExit):
    """A training was asked to stop; its checkpoint is saved, and the same command goes on from there."""

    #: What a shell reports for a command that SIGTERM ended.
    EXIT_CODE = 143

    def __init__(self, why: str) -> None:
        super().__init__(self.EXIT_CODE)
        self.why = why

    def __str__(self) -> str:
        return self.why


class Preemption:
    """Whether this process was asked to stop: by a signal, or by a file where processes are several.

    Args:
        file: A file whose presence is a request; None: signals only.

    Attributes:
        signal: Number of the last signal that was received; None: none was.
    """

    def __init__(self, *, file: Path | None = None) -> None:
        self.file = file
        self.signal: int | None = None
        self._pass_on: Path | None = None

    @property
    def is_requested(self) -> bool:
        """Whether this process was asked to stop."""
        return self.signal is not None or (self.file is not None and self.file.exists())

    @contextmanager
    def passed_on(self, file: Path) -> Iterator[None]:
        """For a block that waits for other processes: a request also makes ``file``, at which they look."""
        self._pass_on = file
        if self.is_requested:
            file.touch()
        try:
            yield
        finally:
            self._pass_on = None

    @contextmanager
    def listening(self) -> Iterator[Preemption]:
        """Take the schedulers' signals as requests for a block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, frame: FrameType | None) -> None:
            self.signal = number
            if self._pass_on is not None:
                self._pass_on.touch()
            # A launcher's own handler resubmits the job.
            handler = before[number]
            if callable(handler):
                handler(number, frame)

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield self
        finally:
            for number, handler in before.items():
                # None: set by code that is not Python's, which cannot be put back.
                if handler is not None:
                    signal.signal(number, handler)


def requeue(preemption: Preemption, *, say: Callable[[str], None]) -> None:
    """Put a Slurm job that was asked to make room with SIGUSR1 back into its queue; elsewhere, do nothing."""
    import subprocess

    job = os.environ.get("SLURM_JOB_ID")
    # Jobs of submitit are put back by its own handler.
    if preemption.signal != getattr(signal, "SIGUSR1", None) or job is None or "SUBMITIT_EXECUTOR" in os.environ:
        return
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = job if array is None else f"{array}_{task}"
    try:
        subprocess.run(["scontrol", "requeue", name], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        say(f"Slurm job {name} could not be put back into its queue: {str(why).strip()}. Submit it again.")
    else:
        say(f"Slurm job {name} is back in its queue.")
