"""Files that are either whole or absent: write under a temporary name, then rename. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lt_callbacks._processes import is_running, machine

# Of what becomes NAME: .NAME.MACHINE-PROCESS-TOKEN.tmp
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.(tmp|old)", re.DOTALL)

# Seconds after which another machine's writer, which cannot be asked, counts as dead: nothing is written so long.
_LONG_AGO = 24 * 3600.0


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file so that a reader sees the old one or the new one, never a part of it.

    Raises:
        OSError: It cannot be written; ``filename`` is ``path``, or the folder in its way.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp, whose files only their owner reads: colleagues share results and stores.
    temporary = temporary_beside(target)
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            # Who reads of a full disk wants to know which file; a stream names none, and the others the temporary one.
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    return target


def temporary_beside(path: Path) -> Path:
    """A new name beside ``path`` for what is to take its place once it is whole.

    It says which process writes, so that `remove_leftovers` can tell what a killed one left from what is being written.
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def remove_leftovers(folder: str | os.PathLike[str], *, name: str | None = None) -> None:
    """Remove from a folder what processes that were killed had begun to write there; what others write now stays.

    Args:
        folder: Need not exist. Folders in it are not looked into.
        name: Only what was to become the file or folder of this name; None: all.
    """
    with suppress(OSError):
        for path in list(Path(folder).iterdir()):
            found = _TEMPORARY.fullmatch(path.name)
            if found is None or (name is not None and found["name"] != name) or _is_written(path, found):
                continue
            # Another job may be cleaning up as well.
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def write_json(path: str | os.PathLike[str], content: Any) -> Path:
    """Write a file of indented JSON with a final newline, whole or not at all."""
    return write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def canonical_json(content: Any) -> bytes:
    """JSON that is the same in every byte for equal content, on every platform: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _is_written(path: Path, found: re.Match[str]) -> bool:
    if found["machine"] != _machine():
        return time.time() - path.lstat().st_mtime < _LONG_AGO
    return is_running(int(found["process"]))


def _machine() -> str:
    """Eight digits that are equal for processes which can see each other by their numbers."""
    return sha256((machine() or socket.gethostname()).encode())[:8]
