"""Which processes of this machine live, for who finds what another one left behind. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def machine() -> str | None:
    """A name that is equal for processes which can see each other by their numbers; None where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def born(process: int) -> str | None:
    """When a process of this machine started, which tells it from a later one of the same number; None: it is gone."""
    facts = _facts(process)
    # A zombie has ended too, its parent has not looked yet.
    return None if facts is None or facts[0] == "Z" else facts[19]


def is_running(process: int) -> bool:
    """Whether a process of this machine lives; where it cannot be told, it does."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # It is somebody else's.
        return True
    facts = _facts(process)
    return facts is None or facts[0] != "Z"


def _facts(process: int) -> list[str] | None:
    """What the kernel says of a process behind its name, the state first; None where it says nothing."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
