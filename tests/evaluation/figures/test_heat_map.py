from __future__ import annotations

import re

import numpy as np
import pytest
from comparison_documents import METHODS, accuracy_of, comparison, document, settings, sweep
from made_results import method_result

from lt_callbacks.evaluation import accuracy_maps_figure, pool_results

PLANE = {"rows": "noise.ratio", "columns": "imbalance.factor"}


def maps(figure):
    """Title of a map -> its axes."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images and axes.get_visible()}


def mean_of(method, ratio, factor, seeds=(0, 1, 2)):
    return np.mean([accuracy_of(method, ratio, factor, seed) for seed in seeds])


def test_each_method_has_a_map_of_its_means_with_the_smallest_values_below_left():
    found = maps(accuracy_maps_figure(comparison(), **PLANE))
    assert list(found) == list(METHODS)
    for method, axes in found.items():
        expected = [[mean_of(method, ratio, factor) for factor in (10, 100)] for ratio in (0.2, 0.4)]
        np.testing.assert_allclose(axes.images[0].get_array(), expected)
        assert axes.images[0].origin == "lower"
        assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "100"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["0.2", "0.4"]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("imbalance.factor", "noise.ratio")


def test_all_maps_share_one_colour_scale_over_all_means():
    found = maps(accuracy_maps_figure(comparison(), **PLANE))
    (scale,) = {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in found.values()}
    assert scale == pytest.approx((mean_of("CE", 0.4, 100), mean_of("D-SINK", 0.2, 10)))


def test_cells_say_mean_and_standard_deviation():
    axes = maps(accuracy_maps_figure(comparison(), **PLANE))["f_L alone"]
    # 70, 74, 78 at the lower left
    texts = {tuple(np.round(text.get_position(), 2)): text.get_text() for text in axes.texts}
    assert texts[0.0, 0.12] == f"{mean_of('f_L alone', 0.2, 10):.1f}"
    assert texts[0.0, -0.24] == "± 4.0"
    assert len(axes.texts) == 8


def test_one_seed_has_no_deviation():
    figure = accuracy_maps_figure(comparison(seeds=(5,)), **PLANE)
    assert all("±" not in text.get_text() for axes in figure.axes for text in axes.texts)
    assert [text.get_text() for text in figure.texts if "seed" in text.get_text()] == [
        "percent of the test set, one seed"
    ]


def test_what_was_not_run_is_masked():
    documents = {name: made for name, made in sweep().items() if not name.startswith("0.4-100.0")}
    array = maps(accuracy_maps_figure(pool_results(documents), **PLANE))["CE"].images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(array), [[False, False], [False, True]])


def test_a_method_that_was_run_nowhere_here_has_no_map():
    documents = {
        "a": document(settings(0.2, 10, dsink={"alpha": 1}), [method_result("CE"), method_result("D-SINK")]),
        "b": document(settings(0.4, 100, dsink={"alpha": 10}), [method_result("CE")]),
    }
    found = pool_results(documents, group_by=["dsink.alpha"])
    assert list(maps(accuracy_maps_figure(found, **PLANE, at={"dsink.alpha": 10}))) == ["CE"]
    assert list(maps(accuracy_maps_figure(found, **PLANE, at={"dsink.alpha": 1}, methods=["D-SINK"]))) == ["D-SINK"]


def test_numbers_can_be_read_on_their_colour():
    axes = maps(accuracy_maps_figure(comparison(), **PLANE))
    at_highest, at_lowest = axes["D-SINK"].texts[0], axes["CE"].texts[-1]
    assert (at_highest.get_text(), at_highest.get_color()) == (f"{mean_of('D-SINK', 0.2, 10):.1f}", "white")
    assert (at_lowest.get_position()[0], at_lowest.get_color()) == (1, "black")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"rows": "noise.ratoi"},
            "`rows` must be one of 'noise.ratio', 'imbalance.factor', 'dsink.alpha'; got 'noise.ratoi'.",
        ),
        ({"columns": "noise.ratio"}, "`columns` must be another axis than `rows`; got 'noise.ratio' for both."),
        ({}, "have one place. Add dsink.alpha, one map for each value."),
        ({"at": {"dsink.alpha": 1}, "methods": ["x"]}, "`methods` must name methods that were run here; got ['x']."),
    ],
)
def test_errors_name_the_argument(options, text):
    documents = {f"{alpha}": document(settings(dsink={"alpha": alpha}), [method_result()]) for alpha in (1, 10)}
    found = pool_results(documents, group_by=["noise.ratio", "imbalance.factor"])
    with pytest.raises(ValueError, match=re.escape(text)):
        accuracy_maps_figure(found, **{**PLANE, **options})
