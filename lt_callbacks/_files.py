"""Files that are either whole or absent: write under a temporary name, then rename. Standard library only."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any

# Names of what is written before it is renamed: `.NAME.16 hexadecimal digits.tmp`.
_TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{16}\.tmp$")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file so that a reader sees the old one or the new one, never a part of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp, whose files only their owner reads: colleagues share results and stores.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def remove_leftovers(folder: str | os.PathLike[str], *, name: str | None = None) -> None:
    """Remove what processes that were killed while they wrote left in a folder that nobody else writes to now.

    Args:
        folder: Looked through to any depth, or with a ``name`` at its top.
        name: Of the file that was to be written; None: any.
    """
    place = Path(folder)
    found = place.rglob(".*.tmp") if name is None else place.glob(f".{glob.escape(name)}.*.tmp")
    for path in list(found):
        if not _TEMPORARY.search(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> Path:
    """Write a file of indented JSON with a final newline, whole or not at all."""
    return write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def canonical_json(content: Any) -> bytes:
    """JSON that is the same in every byte for equal content, on every platform: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()
