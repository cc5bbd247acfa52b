from __future__ import annotations

from pathlib import Path

from lt_callbacks._class_folders import PICTURE_ENDINGS, pictures_inside
from lt_callbacks._csv_table import check_inside, read_csv_table
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError


def pictures_of(given: Path, *, root: Path | None = None) -> list[tuple[str, Path]]:
    """Picture files to predict: how each is called in the answer, and where it is.

    Args:
        given: A picture; a folder, searched to any depth, hidden files left out; or a CSV file with a column ``path``.
        root: What relative paths in a CSV file start from; None: its folder, out of which no path may then lead.

    Raises:
        FileNotFoundError: There is nothing at ``given``.
        ValueError: It holds no picture, the CSV file cannot be read, see `read_csv_table`, or a path leads out of its
            folder; or ``root`` is given for something else.
    """
    is_table = given.is_file() and given.suffix.lower() == ".csv"
    if root is not None and not is_table:
        raise ArgumentValueError(
            "root", rule="be left out but for a CSV file", got=f"{str(root)!r} for {str(given)!r}", way_out="Remove it."
        )
    if given.is_dir():
        return [(str(path), path) for path in _in_folder(given)]
    if not given.is_file():
        raise ArgumentFileError(
            "images",
            rule="be a picture, a folder of pictures or a CSV file",
            got=f"{str(given)!r}, which does not exist",
            way_out="Check the path.",
        )
    if is_table:
        table = read_csv_table("images", given, needs_label=False)
        if root is None:
            check_inside(table, permission="`root`")
        start = given.parent if root is None else root
        return [(name, start / name) for name in table.paths]
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
