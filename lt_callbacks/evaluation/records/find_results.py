from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lt_callbacks._checks import as_paths
from lt_callbacks._errors import ArgumentError, ArgumentFileError
from lt_callbacks.evaluation.records.json_result import ResultDocument, read_result

RESULTS = "metrics.json"


def find_results(places: Iterable[str | os.PathLike[str]]) -> dict[Path, ResultDocument]:
    """Read every ``metrics.json`` below some folders, and every result document that is named itself.

    A file that is reached on two ways counts once.

    Args:
        places: Folders, searched to any depth, and result documents.

    Returns:
        Path -> document, sorted by path; empty where no run has written results yet.

    Raises:
        FileNotFoundError: A place does not exist.
        ValueError: A document is damaged, edited or of another format version.
    """
    documents: dict[Path, Path] = {}
    for place in as_paths("places", places):
        if not place.exists():
            rule, got = "be folders of finished runs, or result documents", f"{str(place)!r}, which does not exist"
            raise ArgumentFileError("places", rule=rule, got=got, way_out="Check the path.")
        for path in [place] if place.is_file() else files_below(place, RESULTS):
            documents.setdefault(path.resolve(), path)
    return {path: _read(path) for path in sorted(documents.values())}


def files_below(folder: Path, name: str) -> list[Path]:
    """All files called ``name`` below ``folder``, at any depth; folders too, which whoever reads them will refuse."""
    return [Path(place) / name for place, folders, names in os.walk(folder) if name in names or name in folders]


def _read(path: Path) -> ResultDocument:
    try:
        return read_result(path)
    except ArgumentError as error:
        way_out = f"{error.way_out} To leave it out, move it elsewhere or name the other runs one by one.".lstrip()
        raise type(error)(error.argument, rule=error.rule, got=error.got, way_out=way_out) from error
