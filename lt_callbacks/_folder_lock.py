"""One writer at a time in a folder, without a file that stays behind. Standard library only, but for network drives."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a file system answers that cannot lock a folder: flock is made of record locks there, which need a writable file.
_CANNOT = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EACCES, errno.EISDIR)


@contextmanager
def locked_folder(folder: str | os.PathLike[str], *, name: str) -> Iterator[None]:
    """Keep all other processes and threads that ask for the same folder out of a block, and wait while one is in it.

    The lock is on the folder itself: there is no lock file to be left behind by a process that is killed, and none
    that one process removes while another waits for it. Where a folder cannot be locked, on Windows and on some network
    drives, it is on a file ``.NAME.lock`` in it, which stays there on the latter.

    Args:
        folder: Exists.
        name: Of that file, in the middle.
    """
    descriptor = _locked(Path(folder))
    if descriptor is None:
        from filelock import FileLock

        with FileLock(Path(folder) / f".{name}.lock"):
            yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor of the folder, which holds the lock until it is closed; None where that cannot be."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError) and error.errno in _CANNOT:
            return None
        raise
    return descriptor
