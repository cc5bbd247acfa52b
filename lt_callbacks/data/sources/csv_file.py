from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import IMAGENET_MEAN, IMAGENET_STD


class _Row(NamedTuple):
    path: Path
    label: str
    where: str


def csv_file(
    *,
    train_csv: str | os.PathLike[str],
    test_csv: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    image_size: int,
    crop_padding: int = 0,
    flip: bool = True,
) -> Source:
    """Your own image files, listed in CSV files with the columns ``path`` and ``label``; other columns are left alone.

    Classes are the distinct labels of the training file: in the order of the numbers where all are integers, otherwise
    in alphabetic order. Images are decoded and augmented as in `image_folder`.

    Args:
        train_csv: One training image a line, under a header.
        test_csv: One test image a line, under a header; None: no test set.
        root: What relative paths start from; None: the folder of the CSV file they are in.
        image_size: Height and width that images are given out with, in pixels.
        crop_padding: As in `image_folder`.
        flip: As in `image_folder`.

    Raises:
        FileNotFoundError: A CSV file, or an image that one names, does not exist; with the line.
        ValueError: A column, path or label is missing, a test label does not occur in training, or a test image is also
            a training image; with the line.
    """
    train = _rows(train_csv, "train_csv", root)
    class_names = _class_names(train)
    test = None if test_csv is None else _test_rows(_rows(test_csv, "test_csv", root), train, class_names)
    return Source(
        name=Path(train_csv).stem,
        train=_image_set(train, class_names),
        test=None if test is None else _image_set(test, class_names),
        class_names=class_names,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_padding=crop_padding,
        flip=flip,
        labels_are_true=False,
        image_size=image_size,
    )


def _rows(file: str | os.PathLike[str], argument: str, root: str | os.PathLike[str] | None) -> list[_Row]:
    table = Path(file)
    if not table.is_file():
        raise ArgumentFileError(
            argument, rule="be a CSV file", got=f"{table}, which is none", way_out="Check the path."
        )
    folder = table.parent if root is None else Path(root)
    try:
        # utf-8-sig: spreadsheets put a mark before the header
        content = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentValueError(
            argument,
            rule="be a CSV file in UTF-8",
            got=f"{table}, which is not ({error})",
            way_out="Save it again with that encoding.",
        ) from error
    rows = []
    reader = csv.DictReader(io.StringIO(content))
    columns = reader.fieldnames or []
    if not {"path", "label"} <= set(columns):
        raise ArgumentValueError(
            argument,
            rule="have the columns 'path' and 'label' in its first line",
            got=f"{', '.join(columns) or 'nothing'} in {table}",
            way_out="Add the header 'path,label'.",
        )
    for line in reader:
        where = f"{table}, line {reader.line_num}"
        path, label = (line["path"] or "").strip(), (line["label"] or "").strip()
        if not path or not label:
            raise ArgumentValueError(
                argument,
                rule="have a path and a label in every line",
                got=f"{where}, which lacks one",
                way_out="Complete it.",
            )
        if not (folder / path).is_file():
            raise ArgumentFileError(
                argument,
                rule="name files that exist",
                got=f"{folder / path} in {where}",
                way_out="Correct the line, or pass `root`, the folder that paths start from.",
            )
        rows.append(_Row(folder / path, label, where))
    if not rows:
        raise ArgumentValueError(
            argument,
            rule="list at least one image",
            got=f"{table}, which has none below its header",
            way_out="Add lines.",
        )
    return rows


def _class_names(rows: list[_Row]) -> tuple[str, ...]:
    labels = {row.label for row in rows}
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def _test_rows(test: list[_Row], train: list[_Row], class_names: tuple[str, ...]) -> list[_Row]:
    trained_on = {row.path.resolve(): row.where for row in train}
    for row in test:
        if row.label not in class_names:
            raise ArgumentValueError(
                "test_csv",
                rule=f"have labels that occur in `train_csv`: {', '.join(class_names[:20])}",
                got=f"{row.label!r} in {row.where}",
                way_out="Correct it, or add training images of the class.",
            )
        twin = trained_on.get(row.path.resolve())
        if twin is not None:
            raise ArgumentValueError(
                "test_csv",
                rule="not list training images",
                got=f"the file of {twin} in {row.where}",
                way_out="Remove one of the two lines.",
            )
    return test


def _image_set(rows: list[_Row], class_names: tuple[str, ...]) -> ImageSet:
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = np.array([label_of[row.label] for row in rows], dtype=np.int64)
    return ImageSet(images=tuple(row.path for row in rows), labels=labels)
