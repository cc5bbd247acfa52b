"""Files in a phase's folder by which its ranks tell their drivers that they live, or why they failed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lt_callbacks._files import write_json

SECONDS_BETWEEN_SIGNS = 2.0
#: Seconds without a sign after which a rank is reported: many signs, and what a network file system may hold back.
SECONDS_OF_SILENCE = 60.0


class LifeSigns:
    """Writes every two seconds that a rank lives, until it is told to stop; a process that is stopped falls silent.

    Args:
        folder: Of the phase.
        rank: Of this process.
    """

    def __init__(self, folder: Path, *, rank: int) -> None:
        self._path = folder / f"alive-{rank}.json"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True, name="life signs")

    def start(self) -> None:
        """Write the first sign soon, and go on."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more, and take the last one away."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        number = 0
        while True:
            number += 1
            # A full disk is told by what has to be written; the next sign may be.
            with contextlib.suppress(OSError):
                write_json(self._path, {"process": os.getpid(), "host": socket.gethostname(), "number": number})
            if self._is_over.wait(SECONDS_BETWEEN_SIGNS):
                return


class RankSigns:
    """Reads the signs of a phase's ranks, and says which of them has fallen silent.

    Args:
        folder: Of the phase.
        say: Where to; None: nowhere.
        silence: Seconds without a sign after which a rank is reported.
        clock: Seconds that go on evenly.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None] | None,
        silence: float = SECONDS_OF_SILENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.silence = folder, silence
        self._say, self._clock = say, clock
        self._last: dict[str, tuple[bytes, float]] = {}
        self._silent: set[str] = set()
        self._looked = clock()

    def look(self) -> None:
        """Read all signs; report a rank once when it falls silent, and once when it goes on."""
        now = self._clock()
        # This process itself was stopped: what it missed was no silence.
        missed = now - self._looked if now - self._looked > self.silence / 2 else 0.0
        self._looked = now
        for path in sorted(self.folder.glob("alive-*.json")):
            rank = path.stem.removeprefix("alive-")
            with contextlib.suppress(OSError):
                sign = path.read_bytes()
                before, since = self._last.get(rank, (b"", now))
                if sign != before:
                    self._last[rank] = (sign, now)
                    self._went_on(rank)
                    continue
                self._last[rank] = (sign, since + missed)
                if now - since - missed > self.silence:
                    self._fell_silent(rank, sign)

    def _fell_silent(self, rank: str, sign: bytes) -> None:
        if rank in self._silent or self._say is None:
            return
        self._silent.add(rank)
        known: dict[str, Any] = json.loads(sign)
        self._say(
            f"Rank {rank} of the training in {str(self.folder)!r} has given no sign of life for {self.silence:.0f} s, "
            f"and the others wait for it: its process {known['process']} on {known['host']} was stopped, or that "
            f"machine is gone. `kill -CONT {known['process']}` there lets it go on. Or end this command with Ctrl-C: "
            "the same command goes on from the last checkpoint."
        )

    def _went_on(self, rank: str) -> None:
        if rank in self._silent and self._say is not None:
            self._silent.discard(rank)
            self._say(f"Rank {rank} of the training in {str(self.folder)!r} goes on.")


def leave_failure(folder: Path, *, rank: int | None, error: str) -> None:
    """Write why a rank failed, where its driver looks; ``rank`` is None before the ranks have met."""
    name = f"failed-{socket.gethostname()}-{os.getpid()}.json"
    # The disk may be what failed; the log has the message too.
    with contextlib.suppress(OSError):
        write_json(folder / name, {"rank": rank, "error": error, "time": time.time()})


def first_failure(folder: Path) -> str | None:
    """Which rank failed first, and why, as a sentence without its end; None where none has said so."""
    found = []
    for path in folder.glob("failed-*.json"):
        with contextlib.suppress(OSError, ValueError):
            found.append(json.loads(path.read_text()))
    if not found:
        return None
    first = min(found, key=lambda failure: float(failure["time"]))
    who = "A rank that had not met the others yet" if first["rank"] is None else f"Rank {first['rank']}"
    return f"{who} of the training in {str(folder)!r} failed: {first['error']}"


def clear_signs(folder: Path) -> None:
    """Take away the signs of ranks that have ended."""
    for pattern in ("alive-*.json", "failed-*.json"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
