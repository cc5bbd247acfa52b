"""Places that cannot be written to: as many of them as this machine, and this user, can make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Longer than any file system takes.
LONG = "x" * 300

_MB = 2**20


@contextmanager
def disk(place: Path, *, megabytes: int = 4, is_read_only: bool = False) -> Iterator[Path]:
    """A small disk of its own at ``place``; the test is skipped where none can be had."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=777" + (",ro" if is_read_only else "")
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("there is no program `mount`")
    if made.returncode:
        pytest.skip(f"a disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        # Lazily: what a failed test left open does not keep it.
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, *, leave: int = 0) -> Path:
    """Fill the disk at ``place`` but for ``leave`` bytes, with a file that can be removed to have room again."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as stream:
        while True:
            try:
                stream.write(b"x" * 4096)
            except OSError:
                break
    os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """A folder that this user cannot write to; the superuser is stopped by the disk alone."""
    if os.geteuid() == 0:
        with disk(place, is_read_only=True) as made:
            yield made
        return
    place.mkdir(mode=0o500, parents=True)
    try:
        yield place
    finally:
        place.chmod(0o700)


@contextmanager
def full(place: Path) -> Iterator[Path]:
    """A folder on a disk without any room."""
    with disk(place) as made:
        fill(made)
        yield made


@contextmanager
def too_long(place: Path) -> Iterator[Path]:
    """A folder whose name no file system takes."""
    yield place / LONG


@contextmanager
def a_file(place: Path) -> Iterator[Path]:
    """A file where a folder should be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")
    yield place


@contextmanager
def dangling(place: Path) -> Iterator[Path]:
    """A link to a folder that is not there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(place.parent / "nowhere")
    yield place


#: What is wrong -> a folder in the block of which it is, and what a refusal says of it.
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "read-only": (read_only, r"must be a place where files can be written; got .*: (Read-only file system|Perm)"),
    "full": (
        full,
        r"must be on a disk with room, 1 MiB at the very least; got .*: No space left on device\. Make room",
    ),
    "long name": (too_long, r"must have names that the file system takes; got .*: File name too long\. Shorten them"),
    "a file": (a_file, r"must lie in a folder; got .*, where '.*' is a file\. Name another one"),
    "dangling link": (
        dangling,
        r"must be a place that is there or can be made; got .* is a link to '.*nowhere', which",
    ),
}
