from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation import tau_curve_figure

TAUS = np.linspace(-1, 4, 51)
SPREAD = 0.05 + 0.02 * (TAUS - 0.8) ** 2


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_the_curve_its_minimum_and_the_interval_are_drawn():
    figure = tau_curve_figure(TAUS, SPREAD, tau=0.8, interval=(0.6, 1.1))
    figure.canvas.draw()
    axes = figure.axes[0]
    reference, curve, point = axes.lines
    np.testing.assert_allclose(curve.get_xydata(), np.stack([TAUS, SPREAD], axis=1))
    np.testing.assert_allclose(point.get_xydata(), [[0.8, 0.05]])
    assert set(reference.get_xdata()) == {1.0}
    (band,) = axes.patches
    np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], [0.6, 1.1])
    assert legend_of(figure) == ["interval 0.60 to 1.10", "τ = 1", "τ = 0.80 (used)"]
    assert axes.get_xlim() == (-1.0, 4.0)
    assert axes.get_ylim()[0] == 0.0
    assert "not identified" not in axes.get_title(loc="left")


def test_a_shrunk_tau_is_drawn_beside_the_minimum():
    figure = tau_curve_figure(TAUS, SPREAD, tau=0.95, unshrunk_tau=0.8)
    _, _, minimum, used = figure.axes[0].lines
    np.testing.assert_allclose(minimum.get_xydata(), [[0.8, 0.05]])
    np.testing.assert_allclose(used.get_xydata(), [[0.95, np.interp(0.95, TAUS, SPREAD)]])
    assert legend_of(figure) == ["τ = 1", "minimum 0.80", "τ = 0.95 (used)"]
    assert len(tau_curve_figure(TAUS, SPREAD, tau=0.8, unshrunk_tau=0.8).axes[0].lines) == 3


def test_a_tau_that_is_not_identified_says_so_and_stays_within_the_picture():
    reason = "classes have one image each, " * 4
    figure = tau_curve_figure(TAUS, np.full_like(TAUS, 0.1), tau=1.0, identified=False, reason=reason)
    figure.canvas.draw()
    axes = figure.axes[0]
    title = axes.get_title(loc="left")
    assert "not identified: classes have one image each" in title
    box = next(child for child in axes.get_children() if getattr(child, "get_text", str)() == title)
    assert box.get_window_extent().x1 <= figure.bbox.x1
    assert box.get_window_extent().y1 <= figure.bbox.y1
    assert (
        tau_curve_figure(TAUS, SPREAD, tau=1.0, identified=False).axes[0].get_title(loc="left").endswith("identified")
    )


def test_a_curve_of_zeros_can_be_drawn():
    tau_curve_figure(TAUS, np.zeros_like(TAUS), tau=1.0).canvas.draw()


@pytest.mark.parametrize(
    ("taus", "spread", "changes", "text"),
    [
        ([1.0], [1.0], {}, "`taus` must have shape (T,) with T >= 2; got (1,)."),
        (TAUS, SPREAD[1:], {}, "`spread` must have the shape of `taus`, (51,); got (50,)."),
        (TAUS[::-1], SPREAD, {}, "`taus` must rise strictly"),
        (TAUS, np.where(TAUS > 3, np.nan, SPREAD), {}, "must be finite"),
        (TAUS, SPREAD, {"interval": (1.0, 0.5)}, "`interval` must be (low, high); got (1.0, 0.5)."),
        (TAUS, SPREAD, {"tau": float("nan")}, "`tau` must be a finite number; got nan."),
    ],
)
def test_errors_name_the_argument(taus, spread, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        tau_curve_figure(taus, spread, **{"tau": 1.0, **changes})
