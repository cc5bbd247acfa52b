"""Picture files that lie in a folder a class, for every room that reads such folders. Standard library only."""

from __future__ import annotations

import heapq
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lt_callbacks._errors import ArgumentFileError, ArgumentPermissionError, ArgumentValueError

#: Endings of the files that are pictures, in any case; files of other endings are left out, and said to be.
PICTURE_ENDINGS = tuple(
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)

# What systems and programs leave in folders, in lower case, beside names that begin with a dot.
_SYSTEM_NAMES = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "#recycle", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip

#: What a folder is wherever links lead to it: device and number.
Identity = tuple[int, int]


class _Inside(NamedTuple):
    pictures: list[Path]
    left_out: list[Path]


def class_folders(folder: Path, *, argument: str) -> list[str]:
    """Names of the folders in ``folder``, links to folders included, in alphabetic order; hidden ones do not count.

    Empty where there is no such folder.

    Args:
        folder: Holds a folder a class.
        argument: Whose value errors are about.

    Raises:
        PermissionError, FileNotFoundError: It cannot be read, or a link in it leads to nothing.
    """
    return sorted(entry.name for entry in _visible(folder, argument) if entry.is_dir()) if folder.is_dir() else []


def class_pictures(
    folder: Path,
    class_names: Sequence[str],
    *,
    argument: str,
    may_be_empty: bool = False,
    owners: dict[Identity, Path] | None = None,
) -> list[list[Path]]:
    """Picture files of each class, ``FOLDER/CLASS/**/*.png`` and the like, in alphabetic order of their paths.

    Folders inside a class count to it. So do linked ones, each real folder once: a link to a folder above it, or a
    second one to the same folder, adds nothing. Hidden files and what systems leave behind (``.name``, ``Thumbs.db``,
    ``desktop.ini``, ``__MACOSX``, ``@eaDir``) do not count. Other files are left out with one warning that counts them.

    Args:
        folder: Holds a folder a class.
        class_names: Names of the class folders, in the order wanted.
        argument: Whose value errors are about.
        may_be_empty: Whether a class may have no picture.
        owners: Folders that were read into other parts of a data set, which this one may not share; the folders read
            here are added.

    Raises:
        ValueError: A class has no picture, or two share a folder.
        PermissionError, FileNotFoundError: A folder cannot be read, or a link leads to nothing.
    """
    owners = {} if owners is None else owners
    beside = [Path(entry) for entry in _visible(folder, argument) if not entry.is_dir()] if folder.is_dir() else []
    left_out = [path for path in sorted(beside) if path.suffix.lower() in PICTURE_ENDINGS]
    found = []
    for name in class_names:
        inside = _walk(folder / name, argument, owners) if (folder / name).is_dir() else _Inside([], [])
        found.append(inside.pictures)
        left_out += inside.left_out
    empty = [str(folder / name) for name, pictures in zip(class_names, found, strict=True) if not pictures]
    if empty and not may_be_empty:
        raise ArgumentValueError(
            argument,
            rule="hold an image for every class",
            got=f"{_some(empty)}, without a file ending in {', '.join(PICTURE_ENDINGS)}",
            way_out="Add images, or remove the folder.",
        )
    if left_out:
        endings = Counter(path.suffix.lower() or "without an ending" for path in left_out)
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
        warnings.warn(
            f"{len(left_out)} files in {folder} are left out ({counts}), such as {left_out[0]}: an image lies in the "
            f"folder of a class and ends in {', '.join(PICTURE_ENDINGS)}.",
            stacklevel=3,
        )
    return found


def pictures_inside(folder: Path, *, argument: str) -> list[Path]:
    """Picture files in a folder and those inside it, as a class's folder is read, in alphabetic order of their paths.

    Args:
        folder: Where to look.
        argument: Whose value errors are about.

    Raises:
        PermissionError, FileNotFoundError: A folder cannot be read, or a link leads to nothing.
    """
    return _walk(folder, argument, {}).pictures


def _walk(folder: Path, argument: str, owners: dict[Identity, Path]) -> _Inside:
    """Files in the folder of a class, sorted by path."""
    above = {_identity(place, argument) for place in folder.resolve().parents}
    own: set[Identity] = set()
    found = _Inside([], [])
    # Real folders first, so that files have their own paths rather than those by links; then links by name.
    pending = [(False, str(folder))]
    while pending:
        place = Path(heapq.heappop(pending)[1])
        identity = _identity(place, argument)
        if identity in above or identity in own:
            continue
        owner = owners.get(identity)
        if owner is not None:
            raise ArgumentValueError(
                argument,
                rule="have every image in one class, and either in training or in the test",
                got=f"one folder as {owner} and as {place}",
                way_out="Remove one of the two links.",
            )
        own.add(identity)
        for entry in _visible(place, argument):
            if entry.is_dir():
                heapq.heappush(pending, (entry.is_symlink(), entry.path))
            elif entry.is_file():
                path = Path(entry)
                (found.pictures if path.suffix.lower() in PICTURE_ENDINGS else found.left_out).append(path)
    owners.update(dict.fromkeys(own, folder))
    for paths in found:
        paths.sort(key=Path.as_posix)
    return found


def _visible(folder: Path, argument: str) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder, in no order, without what is hidden."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(folder, argument, error) from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_NAMES:
            continue
        # `exists` is False for a link in a circle of links too.
        if entry.is_symlink() and not os.path.exists(entry):  # noqa: PTH110
            raise ArgumentFileError(
                argument,
                rule="hold links that lead somewhere",
                got=f"{entry.path}, which leads to nothing",
                way_out="Bring back what it leads to, or remove it.",
            )
        yield entry


def _identity(folder: Path, argument: str) -> Identity:
    try:
        state = folder.stat()
    except OSError as error:
        raise _unreadable(folder, argument, error) from error
    return state.st_dev, state.st_ino


def _unreadable(folder: Path, argument: str, error: OSError) -> ArgumentPermissionError:
    return ArgumentPermissionError(
        argument,
        rule="hold folders that can be read",
        got=f"the error {error.strerror!r} at {folder}",
        way_out="Change its permissions, or move it.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
