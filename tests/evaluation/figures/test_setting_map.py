from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.evaluation.figures import setting_map
from lt_callbacks.evaluation.figures.figure_style import new_figure


def contrast(colour, other):
    """WCAG's ratio of two colours in [0, 1]."""

    def luminance(rgb):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb[:3]]
        return np.dot((0.2126, 0.7152, 0.0722), linear)

    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", ["Blues", "RdBu"])
def test_every_number_stands_out_from_its_colour(colours):
    from matplotlib.colors import to_rgba

    axes = new_figure(3, 3).subplots()
    values = np.linspace(0, 1, 41)[None]
    image = setting_map.paint(axes, values, colours=colours, lowest=0, highest=1)
    for column, value in enumerate(values[0]):
        setting_map.write(axes, image, 0, column, value, "1.0", "± 0.1")
    for text in axes.texts:
        background = image.cmap(image.norm(values[0, int(text.get_position()[0])]))
        # the ratio for text of any size
        assert contrast(to_rgba(text.get_color()), background) >= 4.5


@pytest.mark.parametrize(("number", "per_row", "deep"), [(1, 1, 1), (2, 2, 1), (4, 2, 2), (5, 3, 2), (12, 3, 4)])
def test_maps_stand_in_rows_and_places_without_a_map_are_empty(number, per_row, deep):
    figure, axes = setting_map.panels([f"m{i}" for i in range(number)], num_rows=3, num_columns=3, title="t", note="n")
    assert len(axes) == number
    assert axes[0].get_gridspec().get_geometry() == (deep, per_row)
    assert [each.get_visible() for each in figure.axes] == [True] * number + [False] * (per_row * deep - number)


def test_wide_maps_stand_below_each_other():
    _, axes = setting_map.panels(["a", "b"], num_rows=2, num_columns=14, title="t", note="n")
    assert axes[0].get_gridspec().get_geometry() == (2, 1)


def test_what_is_not_known_is_grey():
    axes = new_figure(3, 3).subplots()
    image = setting_map.paint(axes, np.array([[np.nan, 1.0]]), colours="Blues", lowest=0, highest=1)
    red, green, blue, _ = image.cmap(image.norm(image.get_array()))[0, 0]
    assert red == green == blue < 1
