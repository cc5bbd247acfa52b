from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.trained_model.pictures import picture_endings


def pictures_of(given: Path) -> list[tuple[str, Path]]:
    """Picture files to predict: how each is called in the answer, and where it is.

    Args:
        given: A picture; a folder, searched to any depth, hidden files left out; or a CSV file with a column ``path``
            whose relative paths start from the folder of that file.

    Raises:
        FileNotFoundError: There is nothing at ``given``.
        ValueError: It holds no picture, or the CSV file has no such column or a line without a path.
    """
    if given.is_dir():
        return [(str(path), path) for path in _in_folder(given)]
    if not given.is_file():
        raise ArgumentFileError(
            "images",
            rule="be a picture, a folder of pictures or a CSV file",
            got=f"{str(given)!r}, which does not exist",
            way_out="Check the path.",
        )
    if given.suffix.lower() == ".csv":
        return [(name, given.parent / name) for name in _in_table(given)]
    return [(str(given), given)]


def _in_folder(folder: Path) -> list[Path]:
    endings = picture_endings()
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        # In place: os.walk goes only where these lead.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        found += [Path(place, name) for name in visible if Path(name).suffix.lower() in endings]
    if not found:
        raise ArgumentValueError(
            "images",
            rule="hold pictures",
            got=f"{str(folder)!r}, which has no file ending in {', '.join(endings)}",
            way_out="Check the path.",
        )
    return found


def _in_table(table: Path) -> list[str]:
    try:
        # utf-8-sig: spreadsheets put a mark before the header
        content = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentValueError(
            "images",
            rule="be a CSV file in UTF-8",
            got=f"{table}, which is not ({error})",
            way_out="Save it again with that encoding.",
        ) from error
    reader = csv.DictReader(io.StringIO(content, newline=""))
    columns = [(name or "").strip() for name in reader.fieldnames or []]
    if columns.count("path") != 1:
        raise ArgumentValueError(
            "images",
            rule="have one column 'path' in its first line",
            got=f"{', '.join(columns) or 'nothing'} in {table}",
            way_out="Add the header 'path', with commas between columns.",
        )
    reader.fieldnames = columns
    paths = []
    for line in reader:
        path = (line["path"] or "").strip()
        if not path:
            raise ArgumentValueError(
                "images",
                rule="have a path in every line",
                got=f"{table}, line {reader.line_num}, which lacks one",
                way_out="Complete it.",
            )
        paths.append(path)
    if not paths:
        raise ArgumentValueError(
            "images", rule="list pictures", got=f"{table}, which has none below its header", way_out="Add lines."
        )
    return paths
