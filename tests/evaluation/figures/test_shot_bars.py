from __future__ import annotations

import re

import numpy as np
import pytest
from comparison_documents import document, settings
from made_results import method_result

from lt_callbacks.evaluation import pool_results, shot_bars_figure
from lt_callbacks.evaluation.figures.figure_style import method_style

CELLS = [
    method_result("CE", 0, many=90.0, medium=50.0, few=10.0),
    method_result("CE", 1, many=94.0, medium=56.0, few=20.0),
    method_result("D-SINK", 0, many=80.0, medium=60.0, few=30.0),
]


def found(**by_ratio):
    return pool_results({name: document(settings(ratio), results) for name, (ratio, results) in by_ratio.items()})


def test_bars_are_means_side_by_side_in_each_group():
    axes = shot_bars_figure(found(a=(0.2, CELLS))).axes[0]
    ce, dsink = axes.containers[1], axes.containers[2]
    heights = {container.get_label(): [bar.get_height() for bar in container] for container in (ce, dsink)}
    assert heights == {"CE": [92.0, 53.0, 15.0], "D-SINK": [80.0, 60.0, 30.0]}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["many", "medium", "few"]
    for left, right in zip(ce, dsink, strict=True):
        assert left.get_x() + left.get_width() <= right.get_x()
    assert (axes.get_ylim(), axes.get_title(loc="left")) == ((0, 100), "")


def test_error_bars_are_one_sample_standard_deviation_and_one_seed_has_none():
    axes = shot_bars_figure(found(a=(0.2, CELLS))).axes[0]
    ce, dsink = axes.containers[1], axes.containers[2]
    lengths = [seg[1, 1] - seg[0, 1] for seg in ce.errorbar.lines[2][0].get_segments()]
    np.testing.assert_allclose(lengths, 2 * np.std([[90, 50, 10], [94, 56, 20]], axis=0, ddof=1))
    assert dsink.errorbar is None


def test_each_setting_has_a_panel_and_a_method_its_colour_in_all():
    figure = shot_bars_figure(found(a=(0.2, CELLS), b=(0.4, CELLS[2:])))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["noise.ratio=0.2", "noise.ratio=0.4"]
    (alone,) = figure.axes[1].containers
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CE", "D-SINK"]
    from matplotlib.colors import to_rgba

    assert alone[0].get_facecolor() == to_rgba(method_style(1)["color"])


def test_chosen_settings_alone_are_drawn():
    both = found(a=(0.2, CELLS), b=(0.4, CELLS))
    figure = shot_bars_figure(both, settings=both.settings[1:])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["noise.ratio=0.4"]


def test_a_group_without_classes_has_no_bar():
    results = [method_result("CE", 0, many=None, medium=50.0, few=10.0)]
    (bars,) = shot_bars_figure(found(a=(0.2, results))).axes[0].containers
    np.testing.assert_array_equal([bar.get_height() for bar in bars], [np.nan, 50, 10])


def test_no_settings_are_an_error():
    with pytest.raises(ValueError, match=re.escape("`settings` must hold at least one setting; got none.")):
        shot_bars_figure(found(a=(0.2, CELLS)), settings=[])


def test_error_bars_end_at_100_percent():
    results = [method_result("CE", seed, many=many) for seed, many in enumerate((100.0, 90.0))]
    axes = shot_bars_figure(found(a=(0.2, results))).axes[0]
    assert axes.containers[1].errorbar.lines[2][0].get_segments()[0][1, 1] == 100.0


def test_an_axis_says_test_accuracy_only_of_a_test_set():
    results = [method_result("CE", scored_on="held-out samples by given label")]
    axes = shot_bars_figure(found(a=(0.2, results))).axes[0]
    assert axes.get_ylabel() == "accuracy (%)"
    assert shot_bars_figure(found(a=(0.2, CELLS))).axes[0].get_ylabel() == "test accuracy (%)"
