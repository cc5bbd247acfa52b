"""What a person is told when a disk refuses a file in the middle of a run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lt_callbacks._errors import StateError, UserError
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.places import document_path

#: A disk that is full, for all or for this user or this process.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# What else a disk, or its owner, can do to a run. Other errors are mistakes of ours, and keep their traces.
_REFUSED = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
)


def is_disk_failure(error: BaseException) -> bool:
    """Whether a disk refused to keep something, for which a run that can do without need not end."""
    return isinstance(error, OSError) and not isinstance(error, UserError) and error.errno in (*NO_ROOM, *_REFUSED)


@contextmanager
def telling_disk_failures(config: TrainConfig | DistillConfig) -> Iterator[None]:
    """Show that a disk is full, or went away, as a sentence: which file, what to do, how to go on.

    Raises:
        StateError: A file of the run's places could not be written.
    """
    try:
        yield
    except OSError as error:
        setting = _setting_of(error, config)
        if not is_disk_failure(error) or (setting is None and error.errno not in NO_ROOM):
            raise
        file = "a file" if error.filename is None else repr(os.fspath(error.filename))
        whose = "" if setting is None else f", a file of `{setting}`,"
        what = "Make room there" if error.errno in NO_ROOM else "Make the place one that can be written to again"
        raise StateError(
            f"The run ended because {file}{whose} could not be written: {error.strerror}. What was finished is kept. "
            f"{what}; the same command with output={config.output} then goes on where this one was."
        ) from error


def _setting_of(error: OSError, config: TrainConfig | DistillConfig) -> str | None:
    """Name of the setting that the file belongs to."""
    if error.filename is None or isinstance(error.filename, int):
        return None
    file, document = Path(os.fspath(error.filename)).absolute(), document_path(config).absolute()
    places = {"output": Path(config.output).absolute(), "store": Path(config.store).expanduser().absolute()}
    # Of two that lie in each other, the inner one.
    inside = [name for name, place in places.items() if place in (file, *file.parents)]
    is_documents = file.parent == document.parent and file.name.removeprefix(".").startswith(document.name)
    if config.results and (is_documents or (not inside and file in document.parents)):
        return "results"
    return max(inside, key=lambda name: len(places[name].parts), default=None)
