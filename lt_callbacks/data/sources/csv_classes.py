from __future__ import annotations

import re
import warnings
from decimal import Decimal

import numpy as np

from lt_callbacks._csv_table import CsvTable
from lt_callbacks._errors import ArgumentValueError

# As programs write numbers, small ones with an exponent.
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?")

# What stands for "no label" in every column, and what does among numbers, where it cannot be a class's name.
_NEVER_A_CLASS = ("nan", "<na>", "#n/a", "-1")
_NO_NUMBER = ("none", "null", "na", "n/a", "inf", "+inf", "-inf", *_NEVER_A_CLASS)


class CsvClasses:
    """The classes that the training rows of a CSV file name.

    Where all labels are whole numbers, classes are numbers in numeric order: ``3``, ``03`` and ``3.0`` are one class.
    Otherwise they are texts in alphabetic order.

    Args:
        table: The file.
        rows: Positions of its training rows.

    Attributes:
        names: (C,) of the classes; a number as it is written, or ``"3"`` where it is written in several ways.

    Raises:
        ValueError: A label says that there is none (``NaN``, ``-1``; among numbers also ``None``, ``null``, ``NA``), or
            is a number that is negative or not whole; with the line.
    """

    def __init__(self, table: CsvTable, rows: np.ndarray) -> None:
        used = np.zeros(len(table.labels), dtype=bool)
        used[table.label_numbers[rows]] = True
        labels = [table.labels[position] for position in np.flatnonzero(used)]
        numbers = [label for label in labels if _NUMBER.fullmatch(label)]
        self._is_numeric = bool(numbers) and all(label in numbers or label.lower() in _NO_NUMBER for label in labels)
        for label in labels:
            self._check(label, table)
        if not self._is_numeric:
            self.names = tuple(sorted(labels))
            self._number_of: dict[str | int, int] = {name: number for number, name in enumerate(self.names)}
            return
        spellings: dict[int, list[str]] = {}
        for label in labels:
            spellings.setdefault(int(Decimal(label)), []).append(label)
        values = sorted(spellings)
        self.names = tuple(
            spellings[value][0] if len(spellings[value]) == 1 and spellings[value][0].isdigit() else str(value)
            for value in values
        )
        self._number_of = {value: number for number, value in enumerate(values)}

    def numbers(self, table: CsvTable, rows: np.ndarray) -> np.ndarray:
        """(len(rows),) int64 class of each of some rows of this or another file; -1 where its label is no class."""
        of_label = np.array([self._number(label) for label in table.labels], dtype=np.int64)
        return of_label[table.label_numbers[rows]]

    def _number(self, label: str) -> int:
        if not self._is_numeric:
            return self._number_of.get(label, -1)
        value = Decimal(label) if _NUMBER.fullmatch(label) else Decimal("0.5")
        return self._number_of.get(int(value), -1) if value == int(value) else -1

    def _check(self, label: str, table: CsvTable) -> None:
        where = table.where(table.first(table.labels.index(label)))
        if label.lower() in (_NO_NUMBER if self._is_numeric else _NEVER_A_CLASS):
            raise ArgumentValueError(
                table.argument,
                rule="have a label in every line",
                got=f"{label!r} in {where}",
                way_out="Remove the images without a label; where this is a class, give it a name.",
            )
        if not self._is_numeric:
            if label.lower() in _NO_NUMBER:
                warnings.warn(
                    f"The label {label!r}, first in {where}, is taken for a class like others. Where it says that "
                    "there is no label, remove its lines.",
                    stacklevel=4,
                )
            return
        value = Decimal(label)
        if value < 0 or value != int(value):
            raise ArgumentValueError(
                table.argument,
                rule="have whole numbers >= 0, or names, as labels",
                got=f"{label!r} in {where}",
                way_out=f"Give classes names, such as 'class {label}'.",
            )
