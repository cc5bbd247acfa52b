"""CSV files that list pictures, as people export them, for every room that reads some."""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError

SEPARATORS = (",", ";", "\t")

_OVER_LINES = "the field goes on in the next line"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class CsvTable:
    """The columns of a CSV file that say something about images; R rows.

    Attributes:
        argument: Name of the file's argument in messages.
        file: The file.
        paths: R texts, none empty.
        labels: The distinct labels in order of appearance, none empty; none at all where they are not asked for.
        label_numbers: (R,) int64, each row's position in ``labels``.
        splits: The distinct texts of the column ``split``; None where there is no such column.
        split_numbers: (R,) int64, each row's position in ``splits``.
        lines: (R,) int64, the line in which each row starts, counted from 1.
    """

    argument: str
    file: Path
    paths: list[str]
    labels: list[str]
    label_numbers: np.ndarray
    splits: list[str] | None
    split_numbers: np.ndarray
    lines: np.ndarray

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.file}, line {self.lines[row]}"

    def first(self, label: int) -> int:
        """The first row with a label, given by its position in ``labels``."""
        return int(np.argmax(self.label_numbers == label))


def read_csv_table(argument: str, file: Path, *, needs_label: bool = True) -> CsvTable:
    """Read a CSV file as spreadsheets, databases and pandas write them.

    Fields are separated by commas, semicolons or tabs: by what makes ``path`` and ``label`` columns of the header. A
    first line ``sep=;`` says it, too. Fields may be quoted, lines may end with LF, CRLF or CR; text is UTF-8, with or
    without a mark, or UTF-16 with one ("Unicode text"). Empty lines, and lines of empty fields, are passed over.

    Args:
        argument: Name of the file's argument in messages.
        file: The file.
        needs_label: Whether there must be a column ``label``; False: one is left alone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Not text, no header, a column twice, a line with another number of fields, without path or label, or
            with a quote that is not closed; with the line.
    """
    if not file.is_file():
        raise ArgumentFileError(argument, rule="be a CSV file", got=f"{file}, which is none", way_out="Check the path.")
    encoding = _encoding(argument, file)
    required = ("path", "label") if needs_label else ("path",)
    try:
        separator, columns = _header(argument, file, encoding, required)
        return _table(argument, file, encoding, separator, columns, required)
    except UnicodeDecodeError as error:
        raise ArgumentValueError(
            argument,
            rule="be a CSV file in UTF-8",
            got=f"{file}, which is not, in line {_undecodable_line(file, encoding)} ({error.reason})",
            way_out="Save it again with that encoding.",
        ) from error


def check_inside(table: CsvTable, *, permission: str) -> None:
    """Refuse a path that leads out of the file's folder, by ``..`` or as an absolute one, as it is written.

    Links are not followed: where those in the folder lead is up to whom it belongs to.

    Args:
        table: The file.
        permission: The option that allows such paths, for the message.

    Raises:
        ValueError: With the line of the first.
    """
    folder = table.file.parent
    # The folder may be named by a link itself.
    inside = tuple(os.path.join(name, "") for name in (os.path.abspath(folder), os.path.realpath(folder)))  # noqa: PTH100, PTH118
    for row, path in enumerate(table.paths):
        has_dots = ".." in path
        if has_dots or (os.path.isabs(path) and not path.startswith(inside)):  # noqa: PTH117
            place = os.path.abspath(os.path.join(folder, path))  # noqa: PTH100, PTH118
            if not place.startswith(inside):
                raise ArgumentValueError(
                    table.argument,
                    rule=f"name files in its own folder, or be given together with {permission}",
                    got=f"{path!r} in {table.where(row)}, which leads out of {folder}",
                    way_out=f"If that is meant, pass {permission}, the folder that relative paths start from; paths "
                    f"may then lead anywhere. Here it was {str(folder)!r}.",
                )


def _encoding(argument: str, file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(_UTF_16_MARKS) and not start.startswith(b"\xff\xfe\0\0"):
        return "utf-16"
    if b"\0" in start:
        is_workbook = start.startswith(b"PK")
        raise ArgumentValueError(
            argument,
            rule="be a CSV file in UTF-8",
            got=f"{file}, " + ("a zip file, as spreadsheets are" if is_workbook else "which holds zero bytes"),
            way_out='Save it again as "CSV UTF-8".',
        )
    # With or without the mark that spreadsheets put before the header.
    return "utf-8-sig"


@contextmanager
def _records(file: Path, encoding: str, separator: str) -> Iterator[tuple[Any, int]]:
    """A reader of the file's records from its header on, and how many lines come before that."""
    with file.open(encoding=encoding) as stream:
        stated = stream.readline().rstrip("\n").strip('"')
        # Told to spreadsheets only; the header shows it as well.
        num_before = 1 if len(stated) == 5 and stated.lower().startswith("sep=") else 0
        if num_before == 0:
            stream.seek(0)
        yield csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True), num_before


def _header(argument: str, file: Path, encoding: str, required: tuple[str, ...]) -> tuple[str, list[str]]:
    """The separator that makes what is required columns, and the columns."""
    found: list[str] = []
    for separator in SEPARATORS:
        with _records(file, encoding, separator) as (reader, num_before):
            try:
                columns = [column.strip() for column in next(reader, [])]
            except csv.Error:
                continue
        if set(required) <= set(columns):
            twice = next((name for name in (*required, "split") if columns.count(name) > 1), None)
            if twice is not None:
                raise ArgumentValueError(
                    argument,
                    rule=f"have one column {twice!r}",
                    got=f"{columns.count(twice)} of them in {file}, line {num_before + 1}",
                    way_out="Rename or remove the others.",
                )
            return separator, columns
        found = max(found, columns, key=len)
    raise ArgumentValueError(
        argument,
        rule=f"have the column{'s' * (len(required) > 1)} {' and '.join(map(repr, required))} in its first line",
        got=f"{', '.join(found) or 'nothing'} in {file}",
        way_out=f"Add the header '{','.join(required)}', or rename the columns that hold them. Separate columns by "
        "commas, semicolons or tabs.",
    )


def _table(
    argument: str, file: Path, encoding: str, separator: str, columns: list[str], required: tuple[str, ...]
) -> CsvTable:
    # Without labels the path stands in for one: neither may be empty.
    path_column, label_column = columns.index("path"), columns.index(required[-1])
    split_column = columns.index("split") if "split" in columns else None
    width = len(columns)
    paths: list[str] = []
    label_of: dict[str, int] = {}
    split_of: dict[str, int] = {}
    label_numbers, split_numbers, lines = array("q"), array("q"), array("q")
    with _records(file, encoding, separator) as (reader, num_before):
        next(reader)
        line = num_before + reader.line_num + 1
        try:
            for fields in reader:
                is_whole = len(fields) == width
                path, label = (fields[path_column].strip(), fields[label_column].strip()) if is_whole else ("", "")
                if path and label:
                    if "\n" in path or "\n" in label:
                        raise _open_quote(argument, f"{file}, line {line}", _OVER_LINES)
                    paths.append(path)
                    label_numbers.append(label_of.setdefault(label, len(label_of)))
                    lines.append(line)
                    if split_column is not None:
                        split_numbers.append(split_of.setdefault(fields[split_column].strip(), len(split_of)))
                elif any(field.strip() for field in fields):
                    if not is_whole and num_before + reader.line_num > line:
                        raise _open_quote(argument, f"{file}, line {line}", _OVER_LINES)
                    raise _refused_line(argument, f"{file}, line {line}", fields, width, required)
                line = num_before + reader.line_num + 1
        except csv.Error as error:
            raise _open_quote(argument, f"{file}, line {line}", str(error)) from error
    if not paths:
        raise ArgumentValueError(
            argument,
            rule="list at least one image",
            got=f"{file}, which has none below its header",
            way_out="Add lines.",
        )
    return CsvTable(
        argument=argument,
        file=file,
        paths=paths,
        labels=list(label_of) if "label" in required else [],
        label_numbers=np.array(label_numbers),
        splits=None if split_column is None else list(split_of),
        split_numbers=np.array(split_numbers),
        lines=np.array(lines),
    )


def _open_quote(argument: str, where: str, reason: str) -> ArgumentValueError:
    return ArgumentValueError(
        argument,
        rule="close every quote, at the end of its field",
        got=f"{where}, where one is not ({reason})",
        way_out="Close it; write a quote within a quoted field twice.",
    )


def _refused_line(
    argument: str, where: str, fields: list[str], width: int, required: tuple[str, ...]
) -> ArgumentValueError:
    if len(fields) != width:
        return ArgumentValueError(
            argument,
            rule=f"have {width} fields in every line, as in its header",
            got=f"{where}, which has {len(fields)}",
            way_out="Complete it." if len(fields) < width else "Quote a field that holds the separator.",
        )
    return ArgumentValueError(
        argument,
        rule=f"have a {' and a '.join(required)} in every line",
        got=f"{where}, which lacks one",
        way_out="Complete it, or remove it.",
    )


def _undecodable_line(file: Path, encoding: str) -> int:
    content = file.read_bytes()
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        start = content[: error.start].decode(encoding, errors="ignore")
        return len(start.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return 1
