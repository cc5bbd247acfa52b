from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation import transition_figure

MATRIX = np.array([[0.6, 0.4, 0.0], [0.05, 0.95, 0.0], [0.0, 0.0, 0.0]])


def drawn(figure):
    return figure.axes[0].images[0].get_array()


def test_rows_are_true_classes_in_percent_and_empty_rows_are_masked():
    figure = transition_figure(MATRIX, class_names=["a", "b", "c"], true_counts=[10, 20, 0])
    figure.canvas.draw()
    axes = figure.axes[0]
    shown = drawn(figure)
    np.testing.assert_allclose(shown[:2].filled(-1), 100 * MATRIX[:2])
    assert shown.mask[2].all()
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true label (training samples)", "given label")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (10)", "b (20)", "c (0)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_numbers_stand_in_their_cells_and_zeros_are_left_out():
    numbers = {text.get_position(): text.get_text() for text in transition_figure(MATRIX).axes[0].texts}
    # positions are (given, true)
    assert numbers == {(0, 0): "60", (1, 0): "40", (0, 1): "5.0", (1, 1): "95"}


def test_numbers_are_light_on_dark_and_dark_on_light():
    colours = {text.get_text(): text.get_color() for text in transition_figure(MATRIX).axes[0].texts}
    assert (colours["95"], colours["5.0"]) == ("white", "black")


def test_many_classes_have_no_numbers_and_nan_rows_are_empty_classes():
    matrix = np.eye(21)
    matrix[4] = np.nan
    figure = transition_figure(matrix, true_counts=np.ones(21))
    assert not figure.axes[0].texts
    assert drawn(figure).mask.all(axis=1).nonzero()[0].tolist() == [4]
    assert figure.axes[0].get_ylabel() == "true label"


def test_the_input_is_left_alone():
    matrix = MATRIX.copy()
    transition_figure(matrix)
    np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.ones((2, 3)), "`transition_matrix` must have shape (C, C), row = true class; got (2, 3)."),
        (np.array([[0.5, 0.5], [0.4, 0.5]]), "got 0.9 for row 1. A cleanlab `noise_matrix` needs `.T`."),
        (np.array([[0.0, 0.0], [1.2, -0.2]]), "got 1.2 at (1, 0). Divide counts by their row sums."),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), "got nan at (0, 0)."),
    ],
)
def test_what_is_no_transition_matrix_is_refused(matrix, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        transition_figure(matrix)


def test_counts_must_match_the_classes():
    with pytest.raises(ValueError, match=re.escape("`true_counts` must hold one count a class (3); got 2.")):
        transition_figure(MATRIX, true_counts=[1, 2])
