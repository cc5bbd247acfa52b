# Paths as strings: objects would cost seconds for a million files.
# ruff: noqa: PTH109, PTH116, PTH117, PTH118, PTH120, PTH123
from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lt_callbacks._errors import ArgumentFileError, ArgumentPermissionError, DataError
from lt_callbacks._files import sha256

#: Files that one thread takes at a time.
CHUNK = 64

#: A file that changed this shortly before it was hashed may change again without its times showing it; the coarsest
#: clocks of file systems tick every two seconds.
RACY_NS = 2_000_000_000

#: What is kept in all; of folders, those used last. Jobs that unpack their data somewhere else each time add up.
LIMIT_BYTES = 1 << 30

_BLOCK = 1 << 20
_CACHE_FORMAT = 1

# size, mtime_ns, ctime_ns, inode, SHA-256
_Entry = list[Any]


class _Hashed(NamedTuple):
    digest: bytes
    # What to remember; None where it was known, or is not safe to remember.
    entry: _Entry | None


def file_hashes(paths: Sequence[str | os.PathLike[str]]) -> list[bytes]:
    """SHA-256 of the content of each file, 32 bytes, in order; a file that did not change is not read again.

    A file is the same while its path, size, inode and times of change are. These are remembered under
    ``$XDG_CACHE_HOME/lt_callbacks``, or ``~/.cache/lt_callbacks``; where nothing can be written there, every call reads
    the files. What is remembered may be deleted at any time. Several processes may call this at once.

    Raises:
        FileNotFoundError, PermissionError, ValueError: A file is missing or cannot be read; with its path.
    """
    absolute = [os.path.join(os.getcwd(), path) for path in paths]
    if not absolute:
        return []
    root = _common_folder(absolute)
    memory = _memory_of(root)
    known = {} if memory is None else _recall(memory)
    names = [path[len(root) :] for path in absolute]

    def hashed(start: int) -> list[_Hashed]:
        several = zip(absolute[start : start + CHUNK], names[start : start + CHUNK], strict=True)
        return [_hashed(path, known.get(name)) for path, name in several]

    # Reading and hashing leave the interpreter to other threads.
    with ThreadPoolExecutor(max_workers=min(32, (os.cpu_count() or 1) + 4)) as pool:
        results = [result for some in pool.map(hashed, range(0, len(absolute), CHUNK)) for result in some]
    new = {name: result.entry for name, result in zip(names, results, strict=True) if result.entry is not None}
    if new and memory is not None:
        # Read again: another process may have remembered other files meanwhile.
        _remember(memory, {**_recall(memory), **new})
    return [result.digest for result in results]


def _common_folder(paths: Sequence[str]) -> str:
    try:
        return os.path.commonpath({os.path.dirname(path) for path in paths})
    except ValueError:
        # Drives of Windows have nothing in common.
        return ""


def _hashed(path: str, known: _Entry | None) -> _Hashed:
    try:
        if known is not None and known[:-1] == _state(os.stat(path)):
            return _Hashed(bytes.fromhex(known[-1]), None)
        now = time.time_ns()
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            before = os.fstat(stream.fileno())
            while block := stream.read(_BLOCK):
                digest.update(block)
            after = os.fstat(stream.fileno())
    except FileNotFoundError as error:
        raise ArgumentFileError(
            "images", rule="be files", got=f"{path}, where there is none", way_out="Was it moved? Restore it."
        ) from error
    except PermissionError as error:
        raise ArgumentPermissionError(
            "images", rule="be files that may be read", got=f"{path}, which may not", way_out="Change its permissions."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Restore the file.") from error
    is_settled = max(after.st_mtime_ns, after.st_ctime_ns) < now - RACY_NS and _state(before) == _state(after)
    return _Hashed(digest.digest(), [*_state(after), digest.hexdigest()] if is_settled else None)


def _state(status: os.stat_result) -> _Entry:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _memory_of(root: str) -> Path | None:
    """The file for what lies below a folder; None where the user has no home.

    One file a folder, replaced as a whole, and no database: those need locks, which homes on a network often lack.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # As the specification has it, a relative one is ignored.
        folder = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "lt_callbacks" / "file-hashes" / f"{sha256(os.fsencode(root))}.json"


def _recall(memory: Path) -> dict[str, _Entry]:
    """What is remembered; nothing where the file is absent or damaged in any bit."""
    try:
        checksum, _, body = memory.read_bytes().partition(b"\n")
        if checksum.decode() != sha256(body):
            return {}
        content = json.loads(body)
    except (OSError, ValueError):
        return {}
    with suppress(OSError):
        os.utime(memory)
    return content["files"] if content["format"] == _CACHE_FORMAT else {}


def _remember(memory: Path, entries: Mapping[str, _Entry]) -> None:
    body = json.dumps({"format": _CACHE_FORMAT, "files": entries}, separators=(",", ":")).encode()
    temporary = memory.with_name(f".{memory.name}.{os.getpid()}.{time.time_ns()}.tmp")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(sha256(body).encode() + b"\n" + body)
        temporary.replace(memory)
        _forget(memory.parent)
    except OSError:
        # Nothing is lost but time.
        with suppress(OSError):
            temporary.unlink()


def _forget(folder: Path) -> None:
    """Delete what was not used for longest, until the rest is within the limit."""
    total = 0
    states = [(path.stat(), path) for path in folder.iterdir()]
    for status, path in sorted(states, key=lambda state: state[0].st_mtime_ns, reverse=True):
        total += status.st_size
        if total > LIMIT_BYTES:
            path.unlink(missing_ok=True)
