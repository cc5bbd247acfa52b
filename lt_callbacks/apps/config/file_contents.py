"""Settings that name a file, by what is in it: a file may be moved, and may change under its name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

#: Files that say what the labels are, and networks that are given.
LABEL_FILES = (
    *("noise.given_labels_file", "noise.transition_file"),
    *("imbalance_teacher.checkpoint", "noise_teacher.checkpoint"),
)

#: All settings that name a single file which decides what is computed.
FILES = ("manifest", *LABEL_FILES, "data.path", "data.train_csv", "data.test_csv")

_BYTES = 1 << 20


def with_contents(settings: Mapping[str, Any], *, names: Iterable[str] = FILES) -> dict[str, Any]:
    """A copy of settings in which a file is ``sha256:`` and the first 16 digits of that of its content.

    Args:
        settings: As `dataclasses.asdict` gives them.
        names: Settings that name files; one that names no file that is there stays as it is.
    """
    changed: dict[str, Any] = dict(settings)
    for name in names:
        *groups, entry = name.split(".")
        held = changed
        for group in groups:
            if not isinstance(held.get(group), Mapping):
                break
            held[group] = dict(held[group])
            held = held[group]
        else:
            if isinstance(held.get(entry), str):
                held[entry] = _content(held[entry])
    return changed


def _content(path: str) -> str:
    place = Path(path).expanduser()
    try:
        facts = place.stat()
        return f"sha256:{_sha256(place.absolute(), facts.st_ino, facts.st_size, facts.st_mtime_ns)[:16]}"
    except OSError:
        # Not there, a folder, or not to be read: who needs it says so.
        return path


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, *state: int) -> str:
    """Of a file, read once as long as its ``state`` is the same: a sweep's jobs name the same ones."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_BYTES):
            digest.update(part)
    return digest.hexdigest()
