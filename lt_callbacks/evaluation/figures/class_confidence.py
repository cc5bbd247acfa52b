from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._arrays import as_floats
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures.per_class_accuracy import neighbour_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SEPARATE = 20


def class_confidence_figure(
    before: ArrayLike,
    after: ArrayLike,
    *,
    class_counts: ArrayLike,
    class_names: Sequence[str] | None = None,
    title: str = "Soft labels' confidence by class",
) -> Figure:
    """Mean probability of the intended class before and after the calibration, from the head to the tail.

    Labels of a long-tailed model are sure on head classes and unsure on tail classes; calibrated labels should be
    level. Up to 20 classes an arrow leads from the one to the other; beyond, points are faint and a line goes through
    the mean of neighbouring classes.

    Args:
        before: (C,) mean probability of the intended class over the class's distilled images, in [0, 1]; NaN where a
            class has no image.
        after: (C,) the same of the calibrated labels.
        class_counts: (C,) training samples or frequencies > 0 that the calibration divides by.
        class_names: (C,) names; class numbers where left out. Not shown beyond 40 classes.
        title: Title of the figure.

    Raises:
        ValueError: Shapes disagree, a value is no probability, or a count is not positive.
    """
    counts = _positive(class_counts)
    values = {"before": _probs("before", before, len(counts)), "after": _probs("after", after, len(counts))}
    names = class_axis.names_of(class_names, len(counts))
    order = class_axis.by_count(counts)
    num_classes = len(counts)
    is_small = num_classes <= _MOST_SEPARATE
    width = max(5.6, 2.0 + 0.45 * num_classes) if is_small else 9.0
    figure = style.new_figure(width, 3.9 + class_axis.name_height(names))
    axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    looks = {"before": (style.VERMILION, "o"), "after": (style.BLUE, "s")}
    for kind, (colour, marker) in looks.items():
        shown = values[kind][order]
        label = f"{kind} (sd over classes {np.nanstd(shown):.3f})"
        if is_small:
            axes.plot(shown, color=colour, marker=marker, markersize=6, linewidth=0, label=label, zorder=3)
        else:
            _smooth(axes, shown, colour=colour, marker=marker, label=label)
        axes.axhline(np.nanmean(shown), color=colour, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    if is_small:
        _arrows(axes, values["before"][order], values["after"][order])
    style.finish_axes(axes, ylabel="mean probability of\nthe intended class", title=title)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.5, num_classes - 0.5)
    lines = "dashed: mean over classes"
    style.add_note(axes, lines if is_small else f"lines: mean of {_width(num_classes)} neighbours; {lines}")
    _strip(strip, counts[order], is_small=is_small)
    class_axis.name_classes(strip, [names[label] for label in order])
    style.add_legend(figure, *axes.get_legend_handles_labels())
    return figure


def _arrows(axes: Axes, before: np.ndarray, after: np.ndarray) -> None:
    for place, (start, stop) in enumerate(zip(before, after, strict=True)):
        # An arrow shorter than the markers would be a blot.
        if abs(stop - start) > 0.06:
            look = {"arrowstyle": "->", "color": style.GREY, "linewidth": 1.0, "shrinkA": 4, "shrinkB": 4}
            axes.annotate("", (place, stop), (place, start), arrowprops=look, zorder=2)


def _smooth(axes: Axes, shown: np.ndarray, *, colour: str, marker: str, label: str) -> None:
    axes.plot(shown, color=colour, marker=marker, markersize=3, linewidth=0, alpha=0.3, markeredgewidth=0)
    mean = neighbour_mean(shown, _width(len(shown)))
    every = max(1, len(shown) // 12)
    axes.plot(mean, color=colour, marker=marker, markersize=4.5, markevery=every, linewidth=1.8, label=label)


def _width(num_classes: int) -> int:
    return 2 * (num_classes // 20) + 1


def _strip(strip: Axes, counts: np.ndarray, *, is_small: bool) -> None:
    is_whole = bool((counts == np.round(counts)).all())
    strip.bar(range(len(counts)), counts, 0.8 if is_small else 1.0, color=style.GREY)
    what = "training\nsamples (log)" if is_whole else "class\nprior (log)"
    style.finish_axes(strip, xlabel="class, from head to tail", ylabel=what)
    strip.set_yscale("log")
    strip.set_ylim(0.6 * counts.min(), 2 * counts.max())
    strip.yaxis.set_major_formatter("{x:,.0f}" if is_whole else "{x:g}")


def _positive(class_counts: ArrayLike) -> np.ndarray:
    counts = as_floats("class_counts", class_counts)
    if counts.ndim != 1 or not counts.size:
        raise ArgumentValueError("class_counts", rule="have shape (C,), one value a class", got=str(counts.shape))
    wrong = np.flatnonzero(~(np.isfinite(counts) & (counts > 0)))
    if wrong.size:
        got = f"{counts[wrong[0]]:g} for class {wrong[0]}"
        raise ArgumentValueError("class_counts", rule="be > 0", got=got, way_out="Leave such classes out.")
    return counts


def _probs(name: str, values: ArrayLike, num_classes: int) -> np.ndarray:
    probs = as_floats(name, values)
    if probs.shape != (num_classes,):
        rule = f"have the shape of `class_counts`, {(num_classes,)}"
        raise ArgumentValueError(name, rule=rule, got=str(probs.shape))
    wrong = np.flatnonzero((probs < 0) | (probs > 1))
    if wrong.size:
        got = f"{probs[wrong[0]]:.3g} for class {wrong[0]}"
        raise ArgumentValueError(name, rule="be probabilities in [0, 1]", got=got)
    if np.isnan(probs).all():
        raise ArgumentValueError(name, rule="hold at least one class with images", got="only NaN")
    return probs
