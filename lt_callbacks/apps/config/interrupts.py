"""Ctrl-C at a command: a line and no trace, however often it is pressed. Standard library only."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a shell reports for a command that Ctrl-C ended.
EXIT_CODE = 130

# Presses that follow so soon are meant for what the first one ends already.
_SECONDS_OF_ONE_STOP = 3.0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, and who pressed it has been told what there is to know."""


def told(stop: BaseException) -> BaseException:
    """What to raise on, once a person has been told of ``stop``: for Ctrl-C, which Lightning turns into an exit."""
    is_lightnings = isinstance(stop, SystemExit) and stop.code == 1
    return Interrupted() if isinstance(stop, KeyboardInterrupt) or is_lightnings else stop


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """End a command at which Ctrl-C is pressed with a line and exit code 130.

    What is under way puts its things away and ends at the first press; one that follows at once does not disturb it.
    While something is imported, the process ends on the spot: what it holds is free for the next one.

    Raises:
        SystemExit: Ctrl-C was pressed.
    """
    last = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now, before = time.monotonic(), last
        if now - before > _SECONDS_OF_ONE_STOP:
            last = now
            if _is_importing(frame):
                # Modules that are half imported turn the interrupt into errors of their own, or swallow it.
                os.write(2, b"Stopped.\n")
                os._exit(EXIT_CODE)
            raise KeyboardInterrupt

    is_ours = (
        threading.current_thread() is threading.main_thread()
        # Somebody else's handler, or a shell's background, which ignores it.
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_ours:
        signal.signal(signal.SIGINT, stop)
    is_pressed = False
    try:
        yield
    except KeyboardInterrupt as pressed:
        is_pressed = True
        if not isinstance(pressed, Interrupted):
            sys.stderr.write("Stopped.\n")
        raise SystemExit(EXIT_CODE) from pressed
    finally:
        if is_ours:
            # The interpreter takes a while to end.
            signal.signal(signal.SIGINT, signal.SIG_IGN if is_pressed else signal.default_int_handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
