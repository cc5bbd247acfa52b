from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lt_callbacks._checks import as_path
from lt_callbacks._csv_table import CsvTable, check_inside, read_csv_table
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.csv_classes import CsvClasses
from lt_callbacks.data.sources.listed_files import real_files
from lt_callbacks.data.sources.statistics import IMAGENET_MEAN, IMAGENET_STD

SPLITS = ("train", "test")


class _Part(NamedTuple):
    """Rows of a file, with the paths of their images: as they are opened, and the file that they lead to."""

    table: CsvTable
    rows: np.ndarray
    paths: list[str]
    files: list[str]

    def where(self, position: int) -> str:
        return self.table.where(self.rows[position])


def csv_file(
    *,
    train_csv: str | os.PathLike[str],
    test_csv: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    image_size: int,
    crop_padding: int = 0,
    flip: bool = True,
) -> Source:
    """Your own image files, listed in CSV files with the columns ``path`` and ``label``.

    Files as spreadsheets, databases and pandas export them: separated by commas, semicolons or tabs, quoted or not,
    with any line ends, in UTF-8 or, with its mark, UTF-16. Where there is a column ``split``, it says ``train`` or
    ``test`` of each image; other columns are left alone.

    Classes are the distinct labels of the training images. Where all are whole numbers they are in numeric order, and
    ``3``, ``03`` and ``3.0`` are one class; otherwise they are texts in alphabetic order. ``NaN`` and ``-1`` are no
    classes; among numbers, ``None``, ``null`` and ``NA`` are none either, among texts they are (a warning says so).

    Images are decoded and augmented as in `image_folder`.

    Args:
        train_csv: One training image a line, under a header; with a column ``split``, the test images too.
        test_csv: One test image a line, under a header; None: those of ``split``, or no test set.
        root: What relative paths start from; None: the folder of the CSV file they are in, out of which no path may
            then lead, neither by ``..`` nor as an absolute one. Who gives it says that the file may name others.
        image_size: Height and width that images are given out with, in pixels.
        crop_padding: As in `image_folder`.
        flip: As in `image_folder`.

    Raises:
        FileNotFoundError: A CSV file, or an image that one names, does not exist; with the line.
        ValueError: A column, path or label is missing, a line has another number of fields or a quote that is not
            closed, a path leads out of the file's folder and no ``root`` is given, an image is listed twice (also by
            another spelling of its path, or a link), or a test label does not occur in training; with the line.
    """
    root = None if root is None else as_path("root", root)
    test_file = None if test_csv is None else as_path("test_csv", test_csv)
    table = read_csv_table("train_csv", as_path("train_csv", train_csv))
    train_rows, test_rows = _split_rows(table, has_test_csv=test_file is not None)
    classes = CsvClasses(table, train_rows)
    train = _part(table, train_rows, root)
    test = None
    if test_file is not None:
        test_table = read_csv_table("test_csv", test_file)
        if test_table.splits is not None:
            raise _two_test_sets("test_csv", test_table)
        test = _part(test_table, np.arange(len(test_table.paths)), root)
    elif len(test_rows):
        test = _part(table, test_rows, root)
    _check_each_file_once(train, test)
    return Source(
        name=table.file.stem,
        train=_image_set(train, classes),
        test=None if test is None else _image_set(test, classes),
        class_names=classes.names,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_padding=crop_padding,
        flip=flip,
        labels_are_true=False,
        image_size=image_size,
    )


def _split_rows(table: CsvTable, *, has_test_csv: bool) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the test rows."""
    everything = np.arange(len(table.paths))
    if table.splits is None:
        return everything, everything[:0]
    if has_test_csv:
        raise _two_test_sets("train_csv", table)
    wrong = next((number for number, split in enumerate(table.splits) if split.lower() not in SPLITS), None)
    if wrong is not None:
        split = table.splits[wrong]
        is_validation = split.lower().startswith(("val", "dev"))
        raise ArgumentValueError(
            table.argument,
            rule="have 'train' or 'test' in the column 'split'",
            got=f"{split!r} in {table.where(int(np.argmax(table.split_numbers == wrong)))}",
            way_out=(
                "Validation images are held out of the training images, see `validation_fraction`: write 'train', or "
                "remove these lines."
                if is_validation
                else "Correct it, or rename the column where it means something else."
            ),
        )
    is_test = np.array([split.lower() == "test" for split in table.splits])[table.split_numbers]
    if is_test.all():
        raise ArgumentValueError(
            table.argument,
            rule="list at least one training image",
            got=f"{table.file}, where the column 'split' says 'test' in every line",
            way_out="Add training images.",
        )
    return everything[~is_test], everything[is_test]


def _two_test_sets(argument: str, table: CsvTable) -> ArgumentValueError:
    return ArgumentValueError(
        argument,
        rule="have no column 'split' where `test_csv` is given",
        got=f"one in {table.file}",
        way_out="Remove or rename the column, or give one file without `test_csv`.",
    )


def _part(table: CsvTable, rows: np.ndarray, root: Path | None) -> _Part:
    if root is None:
        check_inside(table, permission="`root`")
    folder = table.file.parent if root is None else root
    # As strings: a million joined path objects take seconds.
    start = os.path.join(folder, "")  # noqa: PTH118
    listed = table.paths if len(rows) == len(table.paths) else [table.paths[row] for row in rows]
    paths = [path if os.path.isabs(path) else start + path for path in listed]  # noqa: PTH117
    files = real_files(paths)
    if None in files:
        missing = files.index(None)
        has_backslash = os.sep == "/" and "\\" in listed[missing]
        raise ArgumentFileError(
            table.argument,
            rule="name files that exist",
            got=f"{Path(paths[missing])} in {table.where(rows[missing])}",
            way_out=(
                "Write '/' for the backslashes, which are part of names here."
                if has_backslash
                else "Correct the line, or pass `root`, the folder that paths start from."
            ),
        )
    return _Part(table, rows, paths, [file for file in files if file is not None])


def _check_each_file_once(train: _Part, test: _Part | None) -> None:
    """Refuse a file that is listed twice, by any spelling of its path: it may have two labels, or be tested on."""
    position_of = _positions(train)
    if test is None:
        return
    _positions(test)
    for position, file in enumerate(test.files):
        twin = position_of.get(file)
        if twin is not None:
            raise ArgumentValueError(
                test.table.argument,
                rule="not list training images" if test.table is not train.table else "not test on training images",
                got=f"the file of {train.where(twin)} in {test.where(position)}",
                way_out="Remove one of the two lines.",
            )


def _positions(part: _Part) -> dict[str, int]:
    """Where each file is in the part."""
    # The first of equal ones.
    position_of = dict(zip(reversed(part.files), range(len(part.files) - 1, -1, -1), strict=True))
    if len(position_of) < len(part.files):
        second = next(position for position, file in enumerate(part.files) if position_of[file] != position)
        first = position_of[part.files[second]]
        labels = [part.table.labels[part.table.label_numbers[part.rows[position]]] for position in (first, second)]
        again = "again" if labels[0] == labels[1] else f"(label {labels[0]!r}) again with the label {labels[1]!r}"
        raise ArgumentValueError(
            part.table.argument,
            rule="list every image once",
            got=f"the file of {part.where(first)} {again} in {part.where(second)}, and "
            f"{len(part.files) - len(position_of)} such lines in all",
            way_out="Remove the line that is wrong.",
        )
    return position_of


def _image_set(part: _Part, classes: CsvClasses) -> ImageSet:
    labels = classes.numbers(part.table, part.rows)
    unknown = np.flatnonzero(labels < 0)
    if len(unknown):
        row = part.rows[unknown[0]]
        raise ArgumentValueError(
            part.table.argument,
            rule=f"have test labels that occur in training: {', '.join(classes.names[:20])}",
            got=f"{part.table.labels[part.table.label_numbers[row]]!r} in {part.table.where(row)}",
            way_out="Correct it, or add training images of the class.",
        )
    # It makes path objects of texts, which takes long enough to be done once.
    return ImageSet(images=part.paths, labels=labels)  # type: ignore[arg-type]
