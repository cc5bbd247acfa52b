from __future__ import annotations

import csv

import pytest
import torch

from lt_callbacks.apps.predict.predictions_file import PredictionsFile

NAMES = ("cat", "dog, house", "Ünicorn")
PROBS = torch.tensor([0.25, 0.125, 0.625])


def lines_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


@pytest.mark.parametrize(
    ("settings", "header", "cells"),
    [
        ({}, ["class", "probability"], ["Ünicorn", "0.625000"]),
        (
            {"top": 3},
            ["class", "probability", "class_2", "probability_2", "class_3", "probability_3"],
            ["Ünicorn", "0.625000", "cat", "0.250000", "dog, house", "0.125000"],
        ),
        (
            {"has_all": True},
            ["class", "probability", "probability of cat", "probability of dog, house", "probability of Ünicorn"],
            ["Ünicorn", "0.625000", "0.250000", "0.125000", "0.625000"],
        ),
    ],
)
def test_a_line_has_the_likeliest_classes_first(tmp_path, settings, header, cells):
    path = tmp_path / "new" / "a.csv"
    with PredictionsFile(path, class_names=NAMES, **settings) as file:
        file.add("a, b.png", PROBS)
        file.add("broken.png", None)
    empty = [""] * len(cells)
    assert lines_of(path) == [["path", *header], ["a, b.png", *cells], ["broken.png", *empty]]


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), PredictionsFile(path, class_names=NAMES) as file:  # noqa: PT012
        file.add("a.png", PROBS)
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("top", [0, 4])
def test_more_classes_than_there_are_is_refused(tmp_path, top):
    with pytest.raises(ValueError, match=f"`top` must be an integer >= 1 and <= 3; got {top}"):
        PredictionsFile(tmp_path / "a.csv", class_names=NAMES, top=top)
