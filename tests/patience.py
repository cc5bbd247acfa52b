"""How long a test waits for what has to happen.

On a machine that is busy with other things everything takes ten times as long. A test therefore waits for a condition,
with more patience than any machine needs, and asserts nothing about how long something took.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds; a test that uses them up has hung. Below pytest's own limit, which says less.
PATIENCE = 800.0


def wait_until(condition: Callable[[], object], *, every: float = 0.02) -> None:
    """Return as soon as ``condition()`` is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE:g} s for a condition")
        time.sleep(every)
