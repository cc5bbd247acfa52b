from __future__ import annotations

import re

import numpy as np
import pytest
from comparison_documents import accuracy_of, comparison, document, settings
from made_results import method_result

from lt_callbacks.evaluation import accuracy_lines_figure, gain_lines_figure, paired_difference, pool_results

AGAINST = {"better teacher": ["f_L alone", "f_N alone"], "CE": ["CE"]}


def alphas(values, gains=(1.0, 2.0)):
    """Gains of seeds 0, 1, ... at each value of dsink.alpha."""
    return pool_results(
        {
            str(alpha): document(
                settings(dsink={"alpha": alpha}),
                [
                    run
                    for seed, gain in enumerate(gains)
                    for run in (method_result("CE", seed, 50), method_result("D-SINK", seed, 50 + gain))
                ],
            )
            for alpha in values
        }
    )


def test_lines_go_through_the_means_at_their_values():
    axes = accuracy_lines_figure(comparison(ratios=(0.4, 0.0, 0.1), factors=(10.0,)), axis="noise.ratio").axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["CE", "f_L alone", "f_N alone", "D-SINK"]
    expected = [np.mean([accuracy_of("D-SINK", ratio, 10, seed) for seed in range(3)]) for ratio in (0.0, 0.1, 0.4)]
    np.testing.assert_allclose(lines["D-SINK"].get_ydata(), expected)
    np.testing.assert_allclose(lines["D-SINK"].get_xdata(), [0.0, 0.1, 0.4])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.1", "0.4"]
    assert axes.get_xlabel() == "noise.ratio"
    assert axes.get_title(loc="right") == "mean ± sd over 3 seeds"


def test_the_band_is_one_sample_standard_deviation():
    axes = accuracy_lines_figure(
        comparison(ratios=(0.2, 0.4), factors=(10.0,), methods=("f_L alone",)), axis="noise.ratio"
    ).axes[0]
    edges = axes.collections[0].get_paths()[0].vertices
    at_first = edges[edges[:, 0] == 0.2][:, 1]
    values = [accuracy_of("f_L alone", 0.2, 10, seed) for seed in range(3)]
    assert (at_first.min(), at_first.max()) == pytest.approx(
        (np.mean(values) - np.std(values, ddof=1), np.mean(values) + np.std(values, ddof=1))
    )


def test_factors_stand_at_equal_ratios():
    assert accuracy_lines_figure(alphas((1, 10, 100)), axis="dsink.alpha").axes[0].get_xscale() == "log"
    assert accuracy_lines_figure(alphas((0, 10, 100)), axis="dsink.alpha").axes[0].get_xscale() == "linear"
    assert (
        gain_lines_figure(alphas((1, 10)), axis="dsink.alpha", method="D-SINK", against=AGAINST).axes[0].get_xscale()
        == "log"
    )


def test_words_have_no_distance_and_no_line():
    made = {
        kind: document(settings(noise={"kind": kind}), [method_result("CE", s, 50 + s) for s in (0, 1)])
        for kind in ("pair", "asym")
    }
    axes = accuracy_lines_figure(pool_results(made), axis="noise.kind").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["asym", "pair"]
    (line, _, (bars,)) = axes.containers[0]
    assert line.get_linestyle() == "None"
    np.testing.assert_allclose(line.get_xdata(), [0, 1])
    np.testing.assert_allclose([seg[1, 1] - seg[0, 1] for seg in bars.get_segments()], [2 * np.sqrt(0.5)] * 2)


def test_a_method_that_was_not_run_everywhere_has_a_gap():
    made = {
        "a": document(settings(0.2), [method_result("CE"), method_result("D-SINK", 0, 60)]),
        "b": document(settings(0.4), [method_result("CE")]),
    }
    axes = accuracy_lines_figure(pool_results(made), axis="noise.ratio").axes[0]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [60, np.nan])
    assert axes.get_title(loc="right") == "one seed"


def test_gains_stand_with_their_intervals_around_a_line_at_zero():
    axes = gain_lines_figure(alphas((1, 2, 3)), axis="dsink.alpha", method="D-SINK", against=AGAINST).axes[0]
    (container,) = axes.containers
    assert container.get_label() == "D-SINK − CE"
    np.testing.assert_allclose(container.lines[0].get_ydata(), [1.5] * 3)
    low, high = paired_difference({0: 1.0, 1: 2.0}, {0: 0.0, 1: 0.0}).interval
    np.testing.assert_allclose([seg[:, 1] for seg in container.lines[2][0].get_segments()], [[low, high]] * 3)
    assert any(np.array_equal(line.get_ydata(), [0, 0]) for line in axes.lines)


def test_one_seed_has_no_bars():
    axes = gain_lines_figure(alphas((1, 2), gains=(3.0,)), axis="dsink.alpha", method="D-SINK", against=AGAINST).axes[0]
    lengths = [seg[1, 1] - seg[0, 1] for seg in axes.containers[0].lines[2][0].get_segments()]
    np.testing.assert_allclose(lengths, 0)


def test_errors_name_the_argument():
    with pytest.raises(
        ValueError, match=re.escape("`axis` must be one of 'noise.ratio', 'imbalance.factor'; got 'x'.")
    ):
        accuracy_lines_figure(comparison(), axis="x")
    text = "leaves several settings at one value of noise.ratio. Add imbalance.factor, one figure for each value."
    with pytest.raises(ValueError, match=re.escape(text)):
        accuracy_lines_figure(comparison(), axis="noise.ratio")
    with pytest.raises(ValueError, match=re.escape("`method` must share seeds with a method of `against`; got 'x'")):
        gain_lines_figure(alphas((1, 2)), axis="dsink.alpha", method="x", against=AGAINST)


@pytest.mark.parametrize(
    ("settings_of", "word"), [(lambda x: {"alpha": x}, "bands"), (lambda x: {"kind": f"k{x}"}, "bars")]
)
def test_bands_and_bars_end_at_100_percent_and_the_note_says_so(settings_of, word):
    made = {
        str(place): document(settings(dsink=settings_of(place)), [method_result("CE", s, 100 - 10 * s) for s in (0, 1)])
        for place in (1, 2)
    }
    found = pool_results(made)
    axes = accuracy_lines_figure(found, axis=found.axes[0]).axes[0]
    assert max(path.vertices[:, 1].max() for path in axes.collections[0].get_paths()) == 100.0
    assert axes.get_title(loc="right") == f"mean ± sd over 2 seeds; {word} end at 0 and 100 %"
