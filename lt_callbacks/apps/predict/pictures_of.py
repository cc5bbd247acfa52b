from __future__ import annotations

from pathlib import Path

from lt_callbacks._class_folders import PICTURE_ENDINGS, pictures_inside
from lt_callbacks._csv_table import read_csv_table
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError


def pictures_of(given: Path) -> list[tuple[str, Path]]:
    """Picture files to predict: how each is called in the answer, and where it is.

    Args:
        given: A picture; a folder, searched to any depth, hidden files left out; or a CSV file with a column ``path``
            whose relative paths start from the folder of that file.

    Raises:
        FileNotFoundError: There is nothing at ``given``.
        ValueError: It holds no picture, or the CSV file cannot be read; see `read_csv_table`.
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
        table = read_csv_table("images", given, needs_label=False)
        return [(name, given.parent / name) for name in table.paths]
    return [(str(given), given)]


def _in_folder(folder: Path) -> list[Path]:
    found = pictures_inside(folder, argument="images")
    if not found:
        raise ArgumentValueError(
            "images",
            rule="hold pictures",
            got=f"{str(folder)!r}, which has no file ending in {', '.join(PICTURE_ENDINGS)}",
            way_out="Check the path.",
        )
    return found
