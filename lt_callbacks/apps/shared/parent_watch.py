from __future__ import annotations

import os
import threading
import time


def end_with_parent() -> None:
    """Let this process not outlive the one that started it: killed, a parent cannot stop its children."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()
