from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from lt_callbacks._csv_table import CsvTable, read_csv_table
from lt_callbacks.data.sources.csv_classes import CsvClasses


def table(folder: Path, *labels: str) -> CsvTable:
    file = folder / "train.csv"
    file.write_text("path,label\n" + "".join(f"{i}.png,{label}\n" for i, label in enumerate(labels)))
    return read_csv_table("train_csv", file)


def classes(folder: Path, *labels: str) -> tuple[tuple[str, ...], list[int]]:
    read = table(folder, *labels)
    rows = np.arange(len(labels))
    found = CsvClasses(read, rows)
    return found.names, found.numbers(read, rows).tolist()


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        (["10", "9", "2"], ("2", "9", "10"), [2, 1, 0]),
        (["3.0", "10.0", "3.0"], ("3", "10"), [0, 1, 0]),
        (["3", "3.0", "03", "+3", "3."], ("3",), [0] * 5),
        (["03", "3"], ("3",), [0, 0]),
        (["01", "10", "02"], ("01", "02", "10"), [0, 2, 1]),
        # beyond what a float holds
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993"), [1, 0]),
        # one name makes all of them texts
        (["10", "9", "other"], ("10", "9", "other"), [0, 1, 2]),
        (["1,5".replace(",", "_"), "12"], ("12", "1_5"), [1, 0]),
        (["b", "a", "B"], ("B", "a", "b"), [2, 1, 0]),
    ],
)
def test_numbers_are_in_numeric_order_and_texts_in_alphabetic(
    tmp_path: Path, labels: list[str], names: tuple[str, ...], numbers: list[int]
):
    assert classes(tmp_path, *labels) == (names, numbers)


@pytest.mark.parametrize("label", ["nan", "NaN", "<NA>", "#N/A", "-1"])
@pytest.mark.parametrize("others", [("0", "1"), ("cat", "dog")])
def test_what_is_never_a_class_is_refused_with_its_line(tmp_path: Path, label: str, others: tuple[str, ...]):
    with pytest.raises(
        ValueError,
        match=f"`train_csv` must have a label in every line; got '{label}' in .*train.csv, line 4. Remove the",
    ):
        classes(tmp_path, *others, label, label)


@pytest.mark.parametrize("label", ["None", "null", "NA", "n/a", "inf", "-Inf"])
def test_what_is_no_number_is_refused_among_numbers_and_a_class_among_names(tmp_path: Path, label: str):
    with pytest.raises(ValueError, match=f"must have a label in every line; got '{label}' in .*train.csv, line 4"):
        classes(tmp_path, "0", "1.0", label)
    with pytest.warns(UserWarning, match=f"The label '{label}', first in .*, line 4, is taken for a class like others"):
        names, _ = classes(tmp_path, "cat", "dog", label)
    assert label in names


@pytest.mark.parametrize("label", ["-2", "3.5", "-1.0", "0.25"])
def test_numbers_that_are_no_class_are_refused_with_their_line(tmp_path: Path, label: str):
    with pytest.raises(
        ValueError, match=f"whole numbers >= 0, or names, as labels; got '{label}' in .*line 3. Give cl"
    ):
        classes(tmp_path, "1", label, "2")


def test_names_alone_give_no_warning(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classes(tmp_path, "cat", "dog")[1] == [0, 1]


def test_classes_are_those_of_the_rows(tmp_path: Path):
    read = table(tmp_path, "7", "nan", "2", "5")
    found = CsvClasses(read, np.array([0, 2]))
    assert found.names == ("2", "7")
    assert found.numbers(read, np.arange(4)).tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize(
    "labels", [["0.25", "0.5"], ["1", ".5"], ["1e-05", "2"], ["2", "1.0E-3"], ["1", "-.5"], ["3", "25e-1"]]
)
def test_numbers_that_are_not_whole_are_no_classes_however_they_are_written(tmp_path: Path, labels: list[str]):
    """Scores, which were taken for names where they began with a dot or had an exponent."""
    wrong = next(label for label in labels if float(label) != int(float(label)))
    with pytest.raises(ValueError, match=rf"have whole numbers >= 0, or names, as labels; got '{re.escape(wrong)}' in"):
        classes(tmp_path, *labels)


def test_whole_numbers_with_an_exponent_are_numbers(tmp_path: Path):
    assert classes(tmp_path, "1e1", "2", "10", "2.0e0") == (("2", "10"), [1, 0, 1, 0])
    # But not where another label shows that these are names.
    assert classes(tmp_path, "1e1", "2e0", "1a1") == (("1a1", "1e1", "2e0"), [1, 2, 0])
