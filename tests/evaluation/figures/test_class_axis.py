from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation.figures import class_axis
from lt_callbacks.evaluation.figures.figure_style import new_figure


def test_names_are_numbers_or_cut():
    assert class_axis.names_of(None, 3) == ["0", "1", "2"]
    assert class_axis.names_of(["cat", "great white shark, man-eater"], 2) == ["cat", "great white shark…"]
    assert class_axis.names_of(["x" * 20], 1) == ["x" * 20]
    with pytest.raises(ValueError, match=re.escape("`class_names` must hold one name a class (3); got 1.")):
        class_axis.names_of(["cat"], 3)


def test_order_is_by_count_and_stable():
    assert class_axis.by_count(np.array([5, 9, 5, 1])).tolist() == [1, 0, 2, 3]


def test_counts_are_whole_numbers():
    assert class_axis.counts("x", [3.0, 0.0]).dtype == np.int64
    for values, text in [
        ([[1]], "`x` must have shape (C,), one count a class; got (1, 1)."),
        ([], "`x` must have shape (C,), one count a class; got (0,)."),
        ([0.5, 0.5], "`x` must be whole numbers >= 0; got 0.5 for class 0. Pass counts of samples, not frequencies."),
        ([1, -2], "`x` must be whole numbers >= 0; got -2 for class 1."),
        ([1, float("nan")], "`x` must be whole numbers >= 0; got dtype float64"),
        (["a"], "`x` must be whole numbers >= 0; got dtype <U1"),
        ([0, 0], "`x` must hold at least one sample; got 2 empty classes."),
    ]:
        with pytest.raises(ValueError, match=re.escape(text)):
            class_axis.counts("x", values)


@pytest.mark.parametrize(
    ("names", "num_shown", "rotation"),
    [(["0", "1"], 2, 0.0), (["automobile"] * 10, 10, 90.0), ([str(label) for label in range(41)], 0, None)],
)
def test_names_stand_upright_where_they_would_collide_and_vanish_where_they_are_many(names, num_shown, rotation):
    axes = new_figure(5, 3).add_subplot()
    class_axis.name_classes(axes, names)
    labels = axes.get_xticklabels()
    assert len(labels) == num_shown
    assert {label.get_rotation() for label in labels} == ({rotation} if num_shown else set())


def test_upright_names_take_more_height():
    assert class_axis.name_height(["automobile"] * 10) > class_axis.name_height(["a"] * 10) > 0
    assert class_axis.name_height(["automobile"] * 100) == 0


def test_wide_characters_are_cut_by_their_columns(monkeypatch):
    monkeypatch.setattr(class_axis.fonts, "missing", lambda name: set())
    assert class_axis.names_of(["犬" * 10, "犬" * 11], 2) == ["犬" * 10, "犬" * 9 + "…"]


def test_line_breaks_and_tabs_are_spaces():
    assert class_axis.names_of(["a\tb\nc", " d "], 2) == ["a b c", "d"]
