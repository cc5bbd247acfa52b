from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation import class_confidence_figure

COUNTS = [5, 100, 30]
BEFORE, AFTER = [0.2, 0.9, 0.6], [0.5, 0.6, 0.58]


def test_points_stand_from_head_to_tail_above_the_counts():
    figure = class_confidence_figure(BEFORE, AFTER, class_counts=COUNTS, class_names=["few", "many", "mid"])
    figure.canvas.draw()
    axes, strip = figure.axes
    before, before_mean, after, after_mean = axes.lines
    assert before.get_ydata().tolist() == [0.9, 0.6, 0.2]
    assert after.get_ydata().tolist() == [0.6, 0.58, 0.5]
    assert before_mean.get_ydata()[0] == pytest.approx(np.mean(BEFORE))
    assert after_mean.get_ydata()[0] == pytest.approx(np.mean(AFTER))
    assert [bar.get_height() for bar in strip.containers[0]] == [100, 30, 5]
    assert [label.get_text() for label in strip.get_xticklabels()] == ["many", "mid", "few"]


def test_the_legend_states_both_spreads():
    (legend,) = class_confidence_figure(BEFORE, AFTER, class_counts=COUNTS).legends
    expected = [
        f"{kind} (sd over classes {np.std(values):.3f})" for kind, values in (("before", BEFORE), ("after", AFTER))
    ]
    assert [text.get_text() for text in legend.get_texts()] == expected


def test_an_arrow_leads_from_before_to_after_where_there_is_room_for_one():
    axes = class_confidence_figure(BEFORE, AFTER, class_counts=COUNTS).axes[0]
    # the middle class moves by 0.02 only
    assert [(note.xyann, note.xy) for note in axes.texts] == [((0, 0.9), (0, 0.6)), ((2, 0.2), (2, 0.5))]


def test_frequencies_are_named_so():
    _, strip = class_confidence_figure(BEFORE, AFTER, class_counts=[0.05, 0.7, 0.25]).axes
    assert strip.get_ylabel() == "class\nprior (log)"
    assert class_confidence_figure(BEFORE, AFTER, class_counts=COUNTS).axes[1].get_ylabel().startswith("training")


def test_a_class_without_images_is_a_gap():
    figure = class_confidence_figure([0.2, np.nan, 0.6], [0.5, np.nan, 0.5], class_counts=COUNTS)
    figure.canvas.draw()
    before, before_mean = figure.axes[0].lines[:2]
    np.testing.assert_array_equal(before.get_ydata(), [np.nan, 0.6, 0.2])
    assert before_mean.get_ydata()[0] == pytest.approx(0.4)


def test_many_classes_are_drawn_as_faint_points_and_a_neighbour_mean():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(size=(2, 60))
    axes = class_confidence_figure(before, after, class_counts=np.arange(60, 0, -1)).axes[0]
    points, line, _, after_points = axes.lines[:4]
    np.testing.assert_allclose(points.get_ydata(), before)
    np.testing.assert_allclose(after_points.get_ydata(), after)
    assert points.get_alpha() < 0.5
    for place in (0, 2, 30, 59):
        window = [before[other] for other in range(60) if abs(other - place) <= 3]
        assert line.get_ydata()[place] == pytest.approx(sum(window) / len(window))
    assert axes.get_title(loc="right") == "lines: mean of 7 neighbours; dashed: mean over classes"
    assert not axes.texts


@pytest.mark.parametrize(
    ("before", "changes", "text"),
    [
        (BEFORE[1:], {}, "`before` must have the shape of `class_counts`, (3,); got (2,)."),
        ([0.2, 1.4, 0.1], {}, "`before` must be probabilities in [0, 1]; got 1.4 for class 1."),
        ([np.nan] * 3, {}, "`before` must hold at least one class with images"),
        (BEFORE, {"class_counts": [5, 0, 1]}, "`class_counts` must be > 0; got 0 for class 1."),
        (BEFORE, {"class_counts": [[5, 1]]}, "`class_counts` must have shape (C,), one value a class; got (1, 2)."),
        (BEFORE, {"class_names": ["a"]}, "`class_names` must hold one name a class (3); got 1."),
    ],
)
def test_errors_name_the_argument(before, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        class_confidence_figure(before, AFTER, **{"class_counts": COUNTS, **changes})
