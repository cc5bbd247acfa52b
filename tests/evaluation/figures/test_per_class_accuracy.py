from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from made_results import method_result

from lt_callbacks.evaluation import per_class_accuracy_figure
from lt_callbacks.evaluation.figures.per_class_accuracy import neighbour_mean

COUNTS = [5, 100, 30]


def runs():
    return [
        method_result("A", 0, per_class=(10.0, 90.0, 50.0)),
        method_result("B", 0, per_class=(30.0, 80.0, 60.0)),
        method_result("A", 1, per_class=(20.0, 94.0, 56.0)),
    ]


def test_points_are_means_in_the_order_of_training_counts():
    figure = per_class_accuracy_figure(runs(), class_counts=COUNTS, class_names=["few", "many", "mid"])
    figure.canvas.draw()
    axes, strip = figure.axes
    a, b = axes.containers
    np.testing.assert_allclose(a.lines[0].get_ydata(), [92.0, 53.0, 15.0])
    np.testing.assert_allclose(b.lines[0].get_ydata(), [80.0, 60.0, 30.0])
    assert (a.get_label(), b.get_label()) == ("A", "B")
    # methods stand beside each other, within their class
    assert (a.lines[0].get_xdata() < b.lines[0].get_xdata()).all()
    np.testing.assert_array_equal(np.round(a.lines[0].get_xdata()), [0, 1, 2])
    assert [bar.get_height() for bar in strip.containers[0]] == [100, 30, 5]
    assert [label.get_text() for label in strip.get_xticklabels()] == ["many", "mid", "few"]


def test_error_bars_are_one_sample_standard_deviation():
    axes = per_class_accuracy_figure(runs(), class_counts=COUNTS).axes[0]
    a, b = axes.containers
    lengths = [segment[1, 1] - segment[0, 1] for segment in a.lines[2][0].get_segments()]
    np.testing.assert_allclose(lengths, 2 * np.std([[90, 50, 10], [94, 56, 20]], axis=0, ddof=1))
    assert not b.has_yerr
    assert axes.get_title(loc="right") == "mean ± sd over 1 to 2 seeds"


def test_groups_are_shaded_thirds_unless_given():
    axes = per_class_accuracy_figure(runs(), class_counts=COUNTS).axes[0]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [
        ("many", 0),
        ("medium", 1),
        ("few", 2),
    ]
    axes = per_class_accuracy_figure(runs(), class_counts=COUNTS, groups={"head": [2, 1], "tail": np.array([0])}).axes[
        0
    ]
    assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == [("head", 0.5), ("tail", 2)]


def test_a_class_without_test_samples_is_left_out():
    axes = per_class_accuracy_figure([method_result(per_class=(10.0, None, 50.0))], class_counts=COUNTS).axes[0]
    np.testing.assert_array_equal(axes.containers[0].lines[0].get_ydata(), [np.nan, 50.0, 10.0])


def test_many_classes_are_drawn_as_faint_points_and_a_neighbour_mean():
    accuracy = np.random.default_rng(0).uniform(0, 100, 60)
    axes = per_class_accuracy_figure(
        [method_result(per_class=tuple(accuracy))], class_counts=np.arange(60, 0, -1)
    ).axes[0]
    points, line = axes.lines
    np.testing.assert_allclose(points.get_ydata(), accuracy)
    assert points.get_alpha() < 0.5
    for place in (0, 2, 30, 59):
        window = [accuracy[other] for other in range(60) if abs(other - place) <= 3]
        assert line.get_ydata()[place] == pytest.approx(sum(window) / len(window))
    assert axes.get_title(loc="right") == "points: one class; lines: mean of 7 neighbouring classes"


def test_neighbour_mean_skips_nan():
    smooth = neighbour_mean(np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan]), 3)
    np.testing.assert_array_equal(smooth, [1.0, 2.0, 3.0, 3.0, np.nan, np.nan])


@pytest.mark.parametrize(
    ("results", "changes", "text"),
    [
        ([], {}, "`results` must hold at least one result; got none."),
        (
            [method_result(), method_result("B", setting="x")],
            {},
            "`results` must belong to one setting; got ['', 'x'].",
        ),
        ([method_result()], {"class_counts": [1, 2]}, "the 2 classes of `class_counts`; got 3 of 'CE' with seed 0."),
        (
            [method_result()],
            {"groups": {"many": [0, 1]}},
            "`groups` must hold each class from 0 to 2 once; got [0, 1].",
        ),
        ([method_result()], {"groups": {"few": [0], "rest": [1, 2]}}, "got a group 'rest' with a class of 100 samples"),
    ],
)
def test_errors_name_the_argument(results, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        per_class_accuracy_figure(results, **{"class_counts": COUNTS, **changes})


def test_bars_end_at_0_and_100_percent_and_the_note_says_so():
    high = [
        method_result("A", 0, per_class=(0.0, 100.0, 50.0)),
        method_result("A", 1, per_class=(4.0, 90.0, 52.0)),
    ]
    axes = per_class_accuracy_figure(high, class_counts=COUNTS).axes[0]
    ends = [segment[:, 1].tolist() for segment in axes.containers[0].lines[2][0].get_segments()]
    sd = np.std([90, 100], ddof=1), np.std([50, 52], ddof=1), np.std([0, 4], ddof=1)
    np.testing.assert_allclose(ends, [[95 - sd[0], 100], [51 - sd[1], 51 + sd[1]], [0, 2 + sd[2]]])
    assert axes.get_title(loc="right") == "mean ± sd over 2 seeds; bars end at 0 and 100 %"


def test_what_was_scored_and_counted_is_said_where_it_is_not_the_test_set_and_the_truth():
    results = [replace(result, scored_on="held-out samples by their given labels") for result in runs()]
    axes, strip = per_class_accuracy_figure(results, class_counts=COUNTS, counts_are_true=False).axes[:2]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("Accuracy by class", "accuracy (%)")
    assert strip.get_xlabel() == "class, by given training count\nscored on held-out samples by their given labels"
    axes, strip = per_class_accuracy_figure(runs(), class_counts=COUNTS).axes[:2]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("Test accuracy by class", "test accuracy (%)")
    assert strip.get_xlabel() == "class, by true training count"
