# Paths as strings: objects would cost seconds for a million files.
# ruff: noqa: PTH113, PTH118
from __future__ import annotations

import os
from collections.abc import Sequence

#: A folder of which so many files are named is listed, which is cheaper than to ask for each.
LISTED_FROM = 64


def real_files(paths: Sequence[str]) -> list[str | None]:
    """The file that each path leads to, by its absolute path without links and dots; None where there is none.

    Two paths have the same entry if they are two spellings of one file, or lead to it by symbolic links. Hard links are
    files of their own, like copies.
    """
    if os.altsep is not None:
        paths = [path.replace(os.altsep, os.sep) for path in paths]
    rows_of: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of.setdefault(path[: path.rfind(os.sep) + 1], []).append(row)
    found: list[str | None] = [None] * len(paths)
    for folder, rows in rows_of.items():
        real = os.path.join(os.path.realpath(folder), "")
        plain = _plain_files(folder) if len(rows) >= LISTED_FROM else frozenset()
        for row in rows:
            name = paths[row][len(folder) :]
            found[row] = real + name if name in plain else _real_file(paths[row])
    return found


def _plain_files(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except (OSError, ValueError):
        return frozenset()


def _real_file(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    return os.path.realpath(path)
