"""What the maps over two settings share: places, frames, numbers in the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_callbacks import _checks
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_WIDTH, _CELL_HEIGHT = 0.78, 0.56


def places(comparison: Comparison, *, rows: str, columns: str, at: Mapping[str, Any]) -> list[list[SettingResults]]:
    """The settings at each row and column, row by row; an empty list where nothing was run.

    Raises:
        ValueError: ``rows`` or ``columns`` is no axis, or several settings share a place.
    """
    for name, axis in (("rows", rows), ("columns", columns)):
        _checks.one_of(name, axis, comparison.axes)
    if rows == columns:
        rule, got = "be another axis than `rows`", f"{columns!r} for both"
        raise ArgumentValueError("columns", rule=rule, got=got, way_out="Choose two axes.")
    found = []
    for row in comparison.values(rows):
        for column in comparison.values(columns):
            here = comparison.at({**at, rows: row, columns: column})
            if len(here) > 1:
                others = [axis for axis in comparison.axes if axis not in (rows, columns, *at)]
                raise ArgumentValueError(
                    "at",
                    rule="say the values of all other axes",
                    got=f"{dict(at)}, where {here[0].title} and {here[1].title} have one place",
                    way_out=f"Add {' and '.join(others)}, one map for each value.",
                )
            found.append(here)
    return found


def panels(
    titles: Sequence[str], *, num_rows: int, num_columns: int, title: str, note: str
) -> tuple[Figure, list[Axes]]:
    """A figure with one map a title; a title is shown above its map, ``title`` and ``note`` above all."""
    width = max(2.6, 0.8 + _CELL_WIDTH * num_columns, 0.8 + 0.075 * max(map(len, titles)))
    height = 0.75 + _CELL_HEIGHT * num_rows
    per_row = max(1, min(len(titles), int(12.5 / width), 3 if len(titles) != 4 else 2))
    deep = -(-len(titles) // per_row)
    figure = style.new_figure(per_row * width + 0.9, deep * height + 0.75)
    figure.suptitle(f"{title}\n", fontsize=style.TITLE_SIZE + 1, x=0.01, ha="left")
    figure.text(0.01, 1 - 0.30 / figure.get_figheight(), note, fontsize=style.TICK_SIZE, color="#444444", va="top")
    grid = figure.subplots(deep, per_row, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(titles) :]:
        axes.set_visible(False)
    return figure, list(grid.flat[: len(titles)])


def frame(axes: Axes, comparison: Comparison, *, rows: str, columns: str, title: str) -> None:
    """Name the axes and their values; only the outer maps of a figure are labelled."""
    style.finish_axes(axes, title=title, grid=None)
    x, y = comparison.values(columns), comparison.values(rows)
    axes.set_xticks(range(len(x)), [setting_axes.text(value) for value in x], fontsize=style.TICK_SIZE)
    axes.set_yticks(range(len(y)), [setting_axes.text(value) for value in y], fontsize=style.TICK_SIZE)
    axes.tick_params(length=0, labelbottom=True, labelleft=True)
    axes.set_xlabel(columns, fontsize=style.LABEL_SIZE)
    axes.set_ylabel(rows, fontsize=style.LABEL_SIZE)
    axes.spines[:].set_visible(False)
    # white lines between the cells
    axes.set_xticks(np.arange(-0.5, len(x)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(y)), minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


def paint(axes: Axes, values: np.ndarray, *, colours: str, lowest: float, highest: float) -> Any:
    """Draw ``values`` (R, K) as coloured cells, the first row at the bottom; NaN is grey."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    return axes.imshow(
        np.ma.masked_invalid(values),
        cmap=colormaps[colours].with_extremes(bad="#EFEFEF"),
        norm=Normalize(lowest, highest),
        interpolation="nearest",
        aspect="auto",
        origin="lower",
    )


def write(axes: Axes, image: Any, row: int, column: int, value: float, large: str, small: str) -> None:
    """Print a number and small print on one cell, in black or white, whichever can be read on its colour."""
    red, green, blue, _ = image.cmap(image.norm(value))
    # relative luminance of sRGB
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    colour = "black" if luminance > 0.179 else "white"
    lift = 0.12 if small else 0.0
    axes.text(column, row + lift, large, ha="center", va="center", fontsize=style.LABEL_SIZE, color=colour)
    if small:
        size = style.SMALL_SIZE if len(small) < 16 else style.SMALL_SIZE - 0.8
        axes.text(column, row - 0.24, small, ha="center", va="center", fontsize=size, color=colour)


def colour_bar(figure: Figure, image: Any, axes: Sequence[Axes], label: str) -> None:
    """Draw one colour scale for all maps of a figure."""
    bar = figure.colorbar(image, ax=list(axes), fraction=0.04, pad=0.02, aspect=30)
    bar.set_label(label, fontsize=style.LABEL_SIZE)
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_linewidth(0.5)
