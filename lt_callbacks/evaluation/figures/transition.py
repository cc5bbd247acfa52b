from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._arrays import as_floats
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis, fonts
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NUMBERED = 20


def transition_figure(
    transition_matrix: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    true_counts: ArrayLike | None = None,
    title: str = "Realised label noise",
) -> Figure:
    """Heat map of how given labels arise from true ones, in percent of each true class.

    The colour scale is a square root: with a linear one, noise that is spread over many classes cannot be seen beside
    the diagonal. Up to 20 classes, every entry is printed too.

    Args:
        transition_matrix: (C, C); entry (i, j) is the share of true class i that is labelled j. Rows sum to 1; the row
            of a class without samples is all 0 or all NaN and is drawn grey.
        class_names: (C,) names; class numbers where left out.
        true_counts: (C,) samples of each true class, shown beside the names: a row rests on that many.
        title: Title of the figure.

    Raises:
        ValueError: Not square, entries outside [0, 1], or rows that do not sum to 1.
    """
    matrix = _matrix(transition_matrix)
    num_classes = len(matrix)
    names = class_axis.names_of(class_names, num_classes)
    rows = list(names)
    if true_counts is not None:
        samples = class_axis.counts("true_counts", true_counts)
        if len(samples) != num_classes:
            raise ArgumentValueError(
                "true_counts",
                rule=f"hold one count a class ({num_classes})",
                got=str(len(samples)),
                way_out="Count with `np.bincount(true_labels, minlength=num_classes)`.",
            )
        rows = [f"{name} ({count})" for name, count in zip(names, samples, strict=True)]
    is_small = num_classes <= _MOST_NUMBERED
    side = max(2.4, 0.42 * num_classes) if is_small else 5.0
    figure = style.new_figure(
        side + 1.7 + 0.072 * max(map(fonts.width, rows)), side + 0.8 + class_axis.name_height(names)
    )
    axes = figure.add_subplot()
    _heat_map(axes, 100 * matrix)
    style.finish_axes(
        axes,
        xlabel="given label",
        ylabel="true label (training samples)" if rows != names and is_small else "true label",
        title=title,
        grid=None,
    )
    if is_small:
        class_axis.name_classes(axes, names)
        axes.set_yticks(range(num_classes), rows, fontsize=style.TICK_SIZE)
    axes.spines[:].set_visible(True)
    return figure


def _heat_map(axes: Axes, percent: np.ndarray) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    colours = colormaps["Blues"].with_extremes(bad=style.PALE)
    norm = PowerNorm(0.5, vmin=0.0, vmax=100.0)
    image = axes.imshow(np.ma.masked_invalid(percent), cmap=colours, norm=norm, interpolation="nearest")
    bar = axes.figure.colorbar(image, ax=axes, ticks=[0, 1, 5, 10, 20, 40, 60, 80, 100], fraction=0.046, pad=0.03)
    bar.set_label("share of the true class (%)", fontsize=style.LABEL_SIZE)
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_linewidth(0.5)
    if len(percent) > _MOST_NUMBERED:
        return
    for (true, given), value in np.ndenumerate(percent):
        if np.isnan(value) or value == 0:
            continue
        text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
        axes.text(
            given,
            true,
            text,
            ha="center",
            va="center",
            fontsize=style.TICK_SIZE - 0.5 if len(percent) <= 12 else style.SMALL_SIZE - 0.5,
            color="white" if norm(value) > 0.6 else "black",
        )


def _matrix(values: ArrayLike) -> np.ndarray:
    matrix = as_floats("transition_matrix", values)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        rule = "have shape (C, C), row = true class"
        raise ArgumentValueError("transition_matrix", rule=rule, got=str(matrix.shape))
    matrix[(matrix == 0).all(axis=1)] = np.nan
    rows = np.flatnonzero(~np.isnan(matrix).all(axis=1))
    kept = matrix[rows]
    outside = np.argwhere(~((kept >= 0) & (kept <= 1)))
    if outside.size:
        true, given = rows[outside[0][0]], outside[0][1]
        raise ArgumentValueError(
            "transition_matrix",
            rule="have entries in [0, 1]",
            got=f"{matrix[true, given]:g} at ({true}, {given})",
            way_out="Divide counts by their row sums.",
        )
    off = np.flatnonzero(np.abs(kept.sum(axis=1) - 1) > 1e-6)
    if off.size:
        raise ArgumentValueError(
            "transition_matrix",
            rule="have rows that sum to 1 (row = true class)",
            got=f"{kept[off[0]].sum():.4g} for row {rows[off[0]]}",
            way_out="A cleanlab `noise_matrix` needs `.T`.",
        )
    return matrix
