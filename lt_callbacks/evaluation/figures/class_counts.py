from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def class_counts_figure(
    given_counts: ArrayLike,
    true_counts: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
    title: str = "Training samples by class",
) -> Figure:
    """How many training samples each class has by the given labels and, where they are known, by the true ones.

    Label noise moves samples from head classes to tail classes: the given counts look less long-tailed than the data
    are, and this is the picture of it. Classes are sorted by true count where that is known; the axis is logarithmic.

    Args:
        given_counts: (C,) samples by given label.
        true_counts: (C,) samples by true label; None where nobody knows them.
        class_names: (C,) names; class numbers where left out. Not shown beyond 40 classes.
        title: Title of the figure.

    Raises:
        ValueError: Shapes disagree, a count is negative or not whole, or every count is 0.
    """
    given = class_axis.counts("given_counts", given_counts)
    true = None if true_counts is None else class_axis.counts("true_counts", true_counts)
    if true is not None and given.shape != true.shape:
        raise ArgumentValueError(
            "given_counts",
            rule=f"have the shape of `true_counts`, {true.shape}",
            got=str(given.shape),
            way_out="Count with `np.bincount(labels, minlength=num_classes)`.",
        )
    sorted_by = given if true is None else true
    num_classes = len(sorted_by)
    names = class_axis.names_of(class_names, num_classes)
    order = class_axis.by_count(sorted_by)
    is_small = num_classes <= 20
    width = max(5.6, 2.0 + 0.45 * num_classes) if is_small else 9.0
    figure = style.new_figure(width, 3.2 + class_axis.name_height(names))
    axes = figure.add_subplot()
    for kind, values, offset, width, colour in _series(given, true, is_small=is_small):
        place = np.arange(num_classes) + offset
        legend = f"{kind} labels ({_imbalance(values)})"
        axes.bar(place, values[order], width, color=colour, label=legend, zorder=2 if kind == "true" else 3)
        if is_small and values.max() < 100_000:
            _print_numbers(axes, place, values[order], size=6.0 if num_classes <= 10 else 5.0)
    kind = "given" if true is None else "true"
    style.finish_axes(
        axes, xlabel=f"class, by {kind} training count", ylabel="training samples (log scale)", title=title
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0.7, 2 * max(sorted_by.max(), given.max()))
    axes.set_xlim(-0.7, num_classes - 0.3)
    class_axis.name_classes(axes, [names[label] for label in order])
    style.add_legend(figure, *axes.get_legend_handles_labels())
    return figure


def _series(
    given: np.ndarray, true: np.ndarray | None, *, is_small: bool
) -> list[tuple[str, np.ndarray, float, float, str]]:
    """Kind of label, counts, offset, width and colour of the bars, those behind first."""
    if true is None:
        return [("given", given, 0.0, 0.7 if is_small else 1.0, style.VERMILION)]
    # side by side where there is room, otherwise narrow bars in front of wide ones
    shift, true_width, given_width = (0.2, 0.4, 0.4) if is_small else (0.0, 1.0, 0.5)
    return [("true", true, -shift, true_width, style.SKY), ("given", given, shift, given_width, style.VERMILION)]


def _print_numbers(axes: Axes, place: np.ndarray, values: np.ndarray, *, size: float) -> None:
    for x, count in zip(place, values, strict=True):
        # an empty class has no bar on a logarithmic axis: its 0 stands at the foot
        corner = (x, max(count, 0.7))
        axes.annotate(f"{count}", corner, (0, 1.5), textcoords="offset points", ha="center", va="bottom", fontsize=size)


def _imbalance(values: np.ndarray) -> str:
    if not values.min():
        return f"{np.count_nonzero(values == 0)} of {len(values)} classes empty"
    return f"largest / smallest = {values.max() / values.min():.3g}"
