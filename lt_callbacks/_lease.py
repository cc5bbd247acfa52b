"""Who does a piece of work that several jobs want, also when a holder is killed. Standard library only."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._files import temporary_beside
from lt_callbacks._processes import born, machine

_SIZE = 512  # bytes of a lease file: rewritten in place, it never changes its length
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0


class LeaseHeldError(Exception):
    """Another process that lives holds the lease, and nobody wanted to wait for it.

    Args:
        who: The holder: ``"host NAME, process NUMBER"``.
    """

    def __init__(self, who: str) -> None:
        super().__init__(who)
        self.who = who


class Lease:
    """The right to do one piece of work, renewed by a heartbeat while its holder lives.

    A lock of the kernel is lost on some network file systems and outlives its holder on others. A lease needs nothing
    but files that are created exclusively: whoever creates file ``n + 1`` of the folder holds the lease after the
    holder of file ``n`` has released it, is known to be gone from this machine, or has shown no heartbeat for
    ``expiry`` seconds. Nobody compares clocks of two machines: each waits for a change with its own.

    A holder that is stopped for longer than that, and goes on, has been replaced without being told. The work must
    therefore be safe to do twice, which publishing under a new name is.

    Args:
        folder: Of this piece of work alone; made when needed.
        heartbeat: Seconds between two signs of life.
        expiry: Seconds without one after which a lease is free; several heartbeats.
    """

    def __init__(self, folder: str | os.PathLike[str], *, heartbeat: float = 5.0, expiry: float = 30.0) -> None:
        if not 0 < heartbeat < expiry:
            raise ArgumentValueError(
                "expiry",
                rule="be longer than `heartbeat`, which is above 0",
                got=f"{expiry} and {heartbeat} seconds",
            )
        self.folder = Path(folder)
        self.heartbeat, self.expiry = heartbeat, expiry

    @contextmanager
    def acquire(
        self, *, unless: Callable[[], bool], on_wait: Callable[[str], None] | None = None, waits: bool = True
    ) -> Iterator[bool]:
        """Hold the lease for a block and yield True; or yield False, without waiting longer, once ``unless()`` is true.

        A block that ends with ``unless()`` true leaves no file.

        Args:
            unless: Whether the work has been done meanwhile.
            on_wait: Told once, when somebody else holds the lease, who it is: ``"host NAME, process NUMBER"``.
            waits: Whether to wait for a holder that lives. That it does is known at once on this machine, and from
                its next sign of life where it runs on another.

        Raises:
            LeaseHeldError: Another process holds the lease, and it was not to be waited for.
        """
        held = self._wait(unless, on_wait, waits)
        if held is None:
            yield False
            return
        stop = threading.Event()
        beating = threading.Thread(target=held.beat, args=(stop, self.heartbeat), daemon=True, name="lease")
        beating.start()
        try:
            yield True
        finally:
            stop.set()
            beating.join()
            self._release(held, is_done=unless())

    def _release(self, held: _Held, *, is_done: bool) -> None:
        if not is_done or not self._remove(held):
            held.write(is_released=True)

    def _remove(self, held: _Held) -> bool:
        """Move the folder away as a whole, and with it give the lease back; False where that cannot be done.

        Removed file by file, it would take a file with it that a next holder created in the middle of it. While this
        process holds the lease nobody else creates one, and who comes later finds no folder and makes a new one.
        """
        if held.path.with_name(str(int(held.path.name) + 1)).exists():
            # Taken for dead while it was stopped: the lease is another's.
            return False
        aside = temporary_beside(self.folder)
        try:
            self.folder.rename(aside)
        except OSError:
            return False
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _wait(self, unless: Callable[[], bool], on_wait: Callable[[str], None] | None, waits: bool) -> _Held | None:
        number, seen, changed_at, wait = 0, b"", time.monotonic(), _FIRST_WAIT
        # Of the file before, which is free: what it said.
        before: bytes | None = None
        while not unless():
            held = self._create(number, before)
            if held is not None:
                if not unless():
                    return held
                self._release(held, is_done=True)
                return None
            content = _read(self.folder / str(number))
            if content is None:
                # Removed with the folder, after the work was done or just before a new file 0.
                number, seen, changed_at, before = 0, b"", time.monotonic(), None
                continue
            has_beaten = bool(seen) and content != seen
            if content != seen:
                seen, changed_at = content, time.monotonic()
            facts = _facts(content)
            is_expired = time.monotonic() - changed_at > self.expiry
            is_passed = (self.folder / str(number + 1)).exists()
            if is_passed or facts.get("is_released") or is_expired or _is_dead(facts):
                number, seen, changed_at, before = number + 1, b"", time.monotonic(), content
                continue
            who = f"host {facts.get('host')}, process {facts.get('process')}"
            if not waits and facts and (has_beaten or facts.get("machine") == machine() is not None):
                raise LeaseHeldError(who)
            if on_wait is not None and facts:
                on_wait(who)
                on_wait = None
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT, self.heartbeat)
        return None

    def _create(self, number: int, before: bytes | None) -> _Held | None:
        """Create lease file ``number``, which follows one with content ``before``, and hold it; None where it cannot.

        The folder may have been removed, and a new one made, since the file before was read: that file is looked at
        again, since who created a number of the old folder in the new one would hold what another holds.
        """
        if number == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
        held = _Held(self.folder / str(number))
        try:
            descriptor = os.open(held.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except (FileExistsError, FileNotFoundError):
            # Not found: the folder was removed just now.
            return None
        os.close(descriptor)
        if number and not _is_same_holder(_read(self.folder / str(number - 1)), before):
            held.path.unlink(missing_ok=True)
            return None
        try:
            held.write(is_released=False)
        except OSError:
            # On a full disk: nobody could tell from an empty file that its holder is gone.
            with suppress(OSError):
                held.path.unlink()
            raise
        return held


class _Held:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.facts = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "machine": machine(),
            "born": born(os.getpid()),
            "token": secrets.token_hex(8),
        }

    def write(self, *, is_released: bool) -> None:
        """Give a sign of life, or the last one.

        In place: on a network file system a reader that opens the file sees what was there when it was closed.
        """
        self.count += 1
        facts: dict[str, Any] = {**self.facts, "heartbeat": self.count, "is_released": is_released}
        try:
            descriptor = os.open(self.path, os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            os.write(descriptor, json.dumps(facts).encode().ljust(_SIZE))
        finally:
            os.close(descriptor)

    def beat(self, stop: threading.Event, seconds: float) -> None:
        while not stop.wait(seconds):
            try:
                self.write(is_released=False)
            except OSError:
                # A file system that is away for a moment; if it stays away, the lease expires.
                continue


def _is_dead(facts: dict[str, Any]) -> bool:
    """Whether the holder is known to be gone, as on this machine it can be: no need to wait for the lease to expire."""
    where = facts.get("machine")
    return where is not None and where == machine() and born(int(facts["process"])) != facts.get("born")


def _is_same_holder(now: bytes | None, before: bytes | None) -> bool:
    """Whether two contents of a lease file are of one holder, which may have given a sign of life in between."""
    if now is None or before is None:
        return False
    # Both are None where a creator died before it wrote.
    return now == before or _facts(now).get("token") == _facts(before).get("token")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        # A stale handle of a network file system: as if it had been read half.
        return b""


def _facts(content: bytes) -> dict[str, Any]:
    """What a lease file says of its holder; empty where it was read while it was written, or its creator died first."""
    try:
        facts = json.loads(content)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
