from __future__ import annotations

import re

import numpy as np
import pytest
from comparison_documents import comparison, document, settings, sweep
from made_results import method_result

from lt_callbacks.evaluation import gain_maps_figure, paired_difference, pool_results

OPTIONS = {
    "rows": "noise.ratio",
    "columns": "imbalance.factor",
    "method": "D-SINK",
    "against": {"better teacher": ["f_L alone", "f_N alone"], "CE": ["CE"]},
}


def maps(figure):
    """Title of a map -> its axes."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images and axes.get_visible()}


def grid(gains):
    """A comparison of D-SINK with CE: place -> gains of seeds 0, 1, ..."""
    return pool_results(
        {
            f"{ratio}-{factor}": document(
                settings(ratio, factor),
                [
                    run
                    for seed, gain in enumerate(values)
                    for run in (method_result("CE", seed, 50), method_result("D-SINK", seed, 50 + gain))
                ],
            )
            for (ratio, factor), values in gains.items()
        }
    )


def test_maps_show_the_mean_paired_difference_to_the_better_of_the_references():
    found = maps(gain_maps_figure(comparison(), **OPTIONS))
    assert list(found) == ["D-SINK − better teacher", "D-SINK − CE"]
    # f_N is better than f_L by 2 on average, and below D-SINK by 3
    np.testing.assert_allclose(found["D-SINK − better teacher"].images[0].get_array(), np.full((2, 2), 3.0))
    np.testing.assert_allclose(found["D-SINK − CE"].images[0].get_array(), np.full((2, 2), 7.0))


def test_one_scale_centred_at_zero_holds_all_maps():
    gains = {(0.2, 10): (-6.0, -6.2), (0.2, 100): (1.0, 1.1), (0.4, 10): (0.5, 0.4), (0.4, 100): (2.0, 2.0)}
    (axes,) = maps(gain_maps_figure(grid(gains), **OPTIONS)).values()
    assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == (pytest.approx(-6.1), pytest.approx(6.1))


def test_gains_are_blue_and_losses_red():
    (axes, *_) = maps(gain_maps_figure(comparison(), **OPTIONS)).values()
    (image,) = axes.images
    (more_red, _, less_blue, _), (less_red, _, more_blue, _) = (image.cmap(image.norm(gain)) for gain in (-3.0, 3.0))
    assert more_red > less_blue
    assert more_blue > less_red


def test_tiny_gains_do_not_fill_the_scale():
    gains = {(ratio, factor): (0.1, 0.1) for ratio in (0.2, 0.4) for factor in (10, 100)}
    (axes,) = maps(gain_maps_figure(grid(gains), **OPTIONS)).values()
    assert axes.images[0].norm.vmax == 1.0


def test_outlines_mark_the_intervals_that_leave_out_zero_on_either_side():
    gains = {(0.2, 10): (2.0, 2.1), (0.2, 100): (2.0, -2.0), (0.4, 10): (-3.0, -3.1), (0.4, 100): (0.0, 9.0)}
    (axes,) = maps(gain_maps_figure(grid(gains), **OPTIONS)).values()
    marked = {(round(box.get_x() + 0.45), round(box.get_y() + 0.45)) for box in axes.patches}
    assert marked == {(0, 0), (0, 1)}


def test_cells_say_the_interval():
    gains = {(0.2, 10): (1.0, 2.0, 6.0), (0.2, 100): (1.0,), (0.4, 10): (0.0, 0.0), (0.4, 100): (0.0, 0.0)}
    (axes,) = maps(gain_maps_figure(grid(gains), **OPTIONS)).values()
    low, high = paired_difference({0: 1.0, 1: 2.0, 2: 6.0}, {0: 0.0, 1: 0.0, 2: 0.0}).interval
    texts = [text.get_text() for text in axes.texts]
    assert texts[:3] == ["+3.0", f"[−{-low:.1f}, +{high:.1f}]", "+1.0"]
    # a single pair has no interval
    assert len(texts) == 7


def test_one_seed_has_neither_interval_nor_outline():
    figure = gain_maps_figure(comparison(seeds=(0,)), **OPTIONS)
    for axes in maps(figure).values():
        assert not axes.patches
        assert len(axes.texts) == 4
    assert any("one seed: no interval" in text.get_text() for text in figure.texts)


def test_a_place_without_the_method_is_masked():
    documents = sweep()
    without = {name: made for name, made in documents.items() if not name.startswith("0.2-10.0")}
    (array, _) = [
        axes.images[0].get_array() for axes in maps(gain_maps_figure(pool_results(without), **OPTIONS)).values()
    ]
    np.testing.assert_array_equal(np.ma.getmaskarray(array), [[True, False], [False, False]])


def test_a_comparison_that_nobody_ran_has_no_map():
    figure = gain_maps_figure(comparison(methods=("f_L alone", "D-SINK")), **OPTIONS)
    assert list(maps(figure)) == ["D-SINK − better teacher"]


def test_without_any_pair_there_is_no_figure():
    text = "`method` must share seeds with a method of `against`; got 'D-SINK' against {"
    with pytest.raises(ValueError, match=re.escape(text)):
        gain_maps_figure(comparison(methods=("CE",)), **OPTIONS)
