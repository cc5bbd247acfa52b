"""Whether files can be written at a place, tried out before anything is computed for it. Standard library only."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lt_callbacks._errors import (
    ArgumentError,
    ArgumentFileError,
    ArgumentPermissionError,
    ArgumentTypeError,
    ArgumentValueError,
)

#: Bytes that are written to try a disk: on one with less room nothing of use could be kept.
ROOM = 2**20

#: Characters that the temporary name of a file has more than the file's, see `lt_callbacks._files.temporary_beside`.
TEMPORARY = len(".") + len(".01234567-4194304-01234567.tmp")

# Names that the package gives below a folder are shorter; a path that is too long for these would fail half way.
_INSIDE = ("x" * 120, "x" * 120)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)

_WAY_OUT = "Name another one."


def check_folder(
    argument: str, folder: str | os.PathLike[str], *, folders: Iterable[str] = (), files: Iterable[str] = ()
) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written; nothing is left of the attempt.

    A file is written to the folder, or where it is not there yet to the nearest one above it, and deleted.

    Args:
        argument: What the folder is called.
        folder: Need not exist.
        folders: Names of folders in it that files will be written to.
        files: Names of files in it that will be written.

    Raises:
        TypeError: It is no path.
        ValueError: A file is in the way, a name is too long, or the disk has no room.
        PermissionError: It is read-only, or belongs to somebody else.
        FileNotFoundError: It is a link to a place that is not there.
    """
    target = _absolute(argument, folder)
    try:
        existing = _nearest(argument, target, shown=str(folder))
        if existing == target:
            _check_inside(argument, target, folders=folders, files=files)
        _write(existing, must_make_folders=True)
    except ArgumentError:
        raise
    except OSError as error:
        raise _refusal(argument, str(folder), error) from error


def check_file(argument: str, path: str | os.PathLike[str]) -> None:
    """Refuse a file that cannot be written, or replaced; nothing is left of the attempt, see `check_folder`.

    Args:
        argument: What the file is called.
        path: Need not exist, nor its folder.

    Raises:
        TypeError, ValueError, PermissionError, FileNotFoundError: As `check_folder` does; or a folder is in its place.
    """
    target = _absolute(argument, path)
    try:
        existing = _nearest(argument, target.parent, shown=str(path))
        # Written under this name first.
        _exists(existing / f"{target.name}{'x' * TEMPORARY}")
        if existing == target.parent:
            _check_inside(argument, existing, folders=(), files=(target.name,))
        _write(existing, must_make_folders=existing != target.parent)
    except ArgumentError:
        raise
    except OSError as error:
        raise _refusal(argument, str(path), error) from error


def _absolute(argument: str, path: str | os.PathLike[str]) -> Path:
    try:
        # Not resolved: a link that leads nowhere is to be seen.
        return Path(os.fspath(path)).absolute()
    except TypeError as error:
        raise ArgumentTypeError(argument, rule="be a path", got=f"{type(path).__name__}") from error


def _nearest(argument: str, folder: Path, *, shown: str) -> Path:
    """The folder itself or the nearest one above it that exists; the names of the others are tried out there.

    Raises:
        ArgumentError: Something that is no folder is in the way.
        OSError: The file system does not take one of the names.
    """
    existing = Path(folder.anchor)
    has_ended = False
    for name in folder.relative_to(existing).parts:
        # Also the names below what is not there: of the whole path the file system would look at the first one only.
        if not _exists(existing / name) or has_ended:
            has_ended = True
            continue
        _check_is_folder(argument, existing / name, of=folder, shown=shown)
        existing = existing / name
    # Nobody has looked at the length of the whole path yet.
    _exists(folder.joinpath(*_INSIDE))
    return existing


def _check_is_folder(argument: str, path: Path, *, of: Path, shown: str) -> None:
    if path.is_dir():
        return
    if path.is_symlink() and not path.exists():
        raise _dangling(argument, path, shown=shown)
    if path == of == Path(shown).absolute():
        raise ArgumentValueError(argument, rule="be a folder", got=f"{_short(shown)}, a file", way_out=_WAY_OUT)
    got = f"{_short(shown)}, where {_short(str(path))} is a file"
    raise ArgumentValueError(argument, rule="lie in a folder", got=got, way_out=_WAY_OUT)


def _check_inside(argument: str, folder: Path, *, folders: Iterable[str], files: Iterable[str]) -> None:
    """Refuse what a folder holds already under names that will be written."""
    for names, is_folder in ((folders, True), (files, False)):
        for path in (folder / name for name in names):
            if not _exists(path):
                continue
            if path.is_symlink() and not path.exists():
                raise _dangling(argument, path, shown=str(path))
            if not (path.is_dir() if is_folder else path.is_file()):
                is_ = "a folder" if path.is_dir() else "a file" if path.is_file() else "a device or the like"
                should = "folder" if is_folder else "file"
                raise ArgumentValueError(
                    argument, rule=f"have a {should} there or nothing", got=f"{str(path)!r}, {is_}", way_out=_WAY_OUT
                )
            if not os.access(path, os.W_OK | (os.X_OK if is_folder else 0)):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _dangling(argument: str, path: Path, *, shown: str) -> ArgumentError:
    return ArgumentFileError(
        argument,
        rule="be a place that is there or can be made",
        got=f"{_short(shown)}, where {_short(str(path))} is a link to {str(path.readlink())!r}, which is not there",
        way_out="Make that folder, or name another one.",
    )


def _exists(path: Path) -> bool:
    """Whether there is something, be it a link to nothing; names that the file system does not take are errors."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except ValueError as error:
        # A null byte.
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    return True


def _write(folder: Path, *, must_make_folders: bool) -> None:
    """Write so much into a folder as tells a disk with room from one without, and leave nothing."""
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    if must_make_folders:
        probe.mkdir()
        probe.rmdir()
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        # Before it has content: a process that is killed here leaves nothing.
        probe.unlink()
        # Random, which no file system makes small.
        content = secrets.token_bytes(ROOM)
        while content:
            content = content[os.write(descriptor, content) :]
        # Some file systems, on a network above all, only then say that there is no room.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(argument: str, shown: str, error: OSError) -> ArgumentError:
    why = error.strerror or str(error)
    got = f"{_short(shown)}: {why}"
    if error.errno in _NO_ROOM:
        return ArgumentValueError(
            argument,
            rule=f"be on a disk with room, {ROOM // 2**20} MiB at the very least",
            got=got,
            way_out="Make room there, or name another one.",
        )
    if error.errno in _NOT_ALLOWED:
        return ArgumentPermissionError(
            argument, rule="be a place where files can be written", got=got, way_out=_WAY_OUT
        )
    if error.errno == errno.ENAMETOOLONG:
        return ArgumentValueError(
            argument, rule="have names that the file system takes", got=got, way_out="Shorten them."
        )
    return ArgumentValueError(argument, rule="be a place where files can be written", got=got, way_out=_WAY_OUT)


def _short(path: str) -> str:
    """A path for a message, in which nobody wants thousands of characters."""
    return repr(path if len(path) <= 200 else f"{path[:120]}...{path[-60:]}")
