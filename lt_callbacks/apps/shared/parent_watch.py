from __future__ import annotations

import os
import signal
import threading
import time

_SECONDS_TO_SAVE = 90.0


def end_with_parent(*, saves: bool = False) -> None:
    """Let this process not outlive the one that started it: killed, a parent cannot stop its children.

    Args:
        saves: Whether it is asked to stop first, as by a scheduler, and has the time to save where it is.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        if saves:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_SECONDS_TO_SAVE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()
