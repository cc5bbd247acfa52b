from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.evaluation import class_counts_figure


def heights(axes, container):
    return [bar.get_height() for bar in axes.containers[container]]


def test_bars_stand_in_the_order_of_true_counts():
    figure = class_counts_figure([30, 8, 22, 0], [10, 40, 10, 0], class_names=["a", "b", "c", "d"])
    figure.canvas.draw()
    axes = figure.axes[0]
    assert heights(axes, 0) == [40, 10, 10, 0]  # true
    assert heights(axes, 1) == [8, 30, 22, 0]  # given
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "a", "c", "d"]
    assert axes.get_yscale() == "log"
    assert {text.get_text() for text in axes.texts} == {"40", "10", "8", "30", "22", "0"}


def test_legend_states_both_imbalances():
    (legend,) = class_counts_figure([30, 10], [50, 5]).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "true labels (largest / smallest = 10)",
        "given labels (largest / smallest = 3)",
    ]
    (legend,) = class_counts_figure([30, 0], [29, 1]).legends
    assert legend.get_texts()[1].get_text() == "given labels (1 of 2 classes empty)"


def test_a_hundred_classes_have_bars_in_front_of_each_other_and_no_names():
    true = np.arange(1, 101)
    figure = class_counts_figure(true[::-1], true)
    axes = figure.axes[0]
    assert heights(axes, 0) == true[::-1].tolist()
    assert heights(axes, 1) == true.tolist()
    wide, narrow = (axes.containers[position][3] for position in (0, 1))
    assert wide.get_x() < narrow.get_x() < narrow.get_x() + narrow.get_width() < wide.get_x() + wide.get_width()
    assert not axes.get_xticklabels()
    assert not axes.texts


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"`given_counts` must have the shape of `true_counts`, \(2,\); got \(3,\)\."):
        class_counts_figure([1, 2, 3], [1, 2])
