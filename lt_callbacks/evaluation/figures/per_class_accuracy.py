from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures.percent_bars import BARS_END, bar_lengths, is_cut
from lt_callbacks.evaluation.records.method_result import TEST_SET, MethodResult, accuracy_name, scored_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SEPARATE = 20


def per_class_accuracy_figure(
    results: Sequence[MethodResult],
    *,
    class_counts: ArrayLike,
    counts_are_true: bool = True,
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Figure:
    """Accuracy of each class by method, from the largest to the smallest class, above the training counts.

    Up to 20 classes: mean over seeds with a bar of one standard deviation that ends at 0 and 100 %. Beyond: one faint
    point a class and a line through the mean of neighbouring classes, since a single class of a hundred says little.

    Args:
        results: Of any number of methods and seeds, at one setting; methods are drawn in the order given.
        class_counts: (C,) training samples by true label, or by given label where nobody knows the true ones.
        counts_are_true: Whether they are by true label.
        class_names: (C,) names; class numbers where left out. Not shown beyond 40 classes.
        groups: Name of the group -> its class labels, from head to tail; shaded and named. Left out: many, medium and
            few by thirds of the classes (``metrics.class_groups``).
        title: Title of the figure; None: one that says whether a test set was scored.

    Raises:
        ValueError: No results, several settings, another number of classes, or groups that do not cover the classes
            once in the order of their counts.
    """
    counts = class_axis.counts("class_counts", class_counts)
    num_classes = len(counts)
    names = class_axis.names_of(class_names, num_classes)
    by_method = _by_method(results, num_classes)
    members = _members(groups, counts)
    order = np.array([label for labels in members.values() for label in labels])
    is_small = num_classes <= _MOST_SEPARATE
    width = max(5.6, 2.0 + 0.55 * num_classes) if is_small else 9.0
    height = 3.8 + class_axis.name_height(names) + 0.2 * style.legend_rows(list(by_method), width)
    figure = style.new_figure(width, height)
    axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    some_cut = False
    for position, (method, accuracy) in enumerate(by_method.items()):
        look = style.method_style(position)
        if is_small:
            # beside each other, so that error bars stay apart
            shift = 0.6 * ((position + 0.5) / len(by_method) - 0.5)
            some_cut |= _points(axes, accuracy[:, order], shift, label=method, look=look)
        else:
            _smooth(axes, accuracy[:, order], label=method, look=look)
    base = scored_on(results)
    if title is None:
        title = "Test accuracy by class" if base == TEST_SET else "Accuracy by class"
    style.finish_axes(axes, ylabel=accuracy_name(results), title=title)
    # Room above 100 % for the names of the groups.
    axes.set_ylim(-2, 110)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlim(-0.5, num_classes - 0.5)
    strip.bar(range(num_classes), counts[order], 0.8 if is_small else 1.0, color=style.GREY)
    kind = "true" if counts_are_true else "given"
    # Below, since beside the title there is no room for it.
    what = "" if base == TEST_SET else f"\nscored on {base}"
    style.finish_axes(strip, xlabel=f"class, by {kind} training count{what}", ylabel="training\nsamples (log)")
    strip.set_yscale("log")
    strip.set_ylim(0.7, 2 * counts.max())
    strip.yaxis.set_major_formatter("{x:,.0f}")
    class_axis.name_classes(strip, [names[label] for label in order])
    _shade(axes, strip, members)
    style.add_legend(figure, *axes.get_legend_handles_labels())
    note = _note(list(by_method.values()), num_classes)
    style.add_note(axes, f"{note}; {BARS_END}" if some_cut else note)
    return figure


def neighbour_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of up to ``width`` neighbours centred on each place, fewer at the ends; NaN entries do not count."""
    half = width // 2
    windows = [values[max(0, place - half) : place + half + 1] for place in range(len(values))]
    return np.array([np.nan if np.isnan(window).all() else np.nanmean(window) for window in windows])


def _by_method(results: Sequence[MethodResult], num_classes: int) -> dict[str, np.ndarray]:
    """Method -> (S, C) percent, NaN where a class has no test samples."""
    if not results:
        raise ArgumentValueError("results", rule="hold at least one result", got="none")
    settings = sorted({result.setting for result in results})
    if len(settings) > 1:
        way_out = "Draw one figure for each."
        raise ArgumentValueError("results", rule="belong to one setting", got=str(settings), way_out=way_out)
    by_method: dict[str, list[tuple[float | None, ...]]] = {}
    for result in results:
        if len(result.per_class) != num_classes:
            raise ArgumentValueError(
                "results",
                rule=f"hold one accuracy for each of the {num_classes} classes of `class_counts`",
                got=f"{len(result.per_class)} of {result.method!r} with seed {result.seed}",
            )
        by_method.setdefault(result.method, []).append(result.per_class)
    return {method: np.array(runs, dtype=np.float64) for method, runs in by_method.items()}


def _members(groups: Mapping[str, Any] | None, counts: np.ndarray) -> dict[str, list[int]]:
    """Name of the group -> its labels, largest class first."""
    if groups is None:
        from lt_callbacks.metrics import class_groups

        groups = class_groups(counts)
    place = {int(label): position for position, label in enumerate(class_axis.by_count(counts))}
    every = sorted(int(label) for labels in groups.values() for label in labels)
    if every != list(range(len(counts))):
        rule = f"hold each class from 0 to {len(counts) - 1} once"
        way_out = "Leave `groups` out for thirds of the classes."
        raise ArgumentValueError("groups", rule=rule, got=str(every), way_out=way_out)
    members = {name: sorted(map(int, labels), key=place.__getitem__) for name, labels in groups.items() if len(labels)}
    for before, name in itertools.pairwise(members):
        smallest, largest = counts[members[before][-1]], counts[members[name][0]]
        if largest > smallest:
            raise ArgumentValueError(
                "groups",
                rule="run from the largest to the smallest classes",
                got=f"a group {name!r} with a class of {largest} samples after a group with one of {smallest}",
                way_out="Group by `class_counts`.",
            )
    return members


def _points(axes: Axes, accuracy: np.ndarray, shift: float, *, label: str, look: dict) -> bool:
    """Draw a method; returns whether a bar had to be cut."""
    centre = accuracy.mean(axis=0)
    spread = accuracy.std(axis=0, ddof=1) if len(accuracy) > 1 else None
    bars = None if spread is None else bar_lengths(centre, spread)
    place = np.arange(len(centre)) + shift
    # Points without a line; a dashed line of width 0 is an error in matplotlib 3.9.
    points = {**look, "linestyle": "none"}
    axes.errorbar(place, centre, bars, label=label, markersize=5.5, elinewidth=1.2, markeredgewidth=0, **points)
    return spread is not None and is_cut(centre, spread)


def _smooth(axes: Axes, accuracy: np.ndarray, *, label: str, look: dict) -> None:
    centre = accuracy.mean(axis=0)
    width = _smoothing_width(len(centre))
    colour, marker = look["color"], look["marker"]
    axes.plot(centre, color=colour, marker=marker, markersize=3, linewidth=0, alpha=0.25, markeredgewidth=0)
    mean = neighbour_mean(centre, width)
    axes.plot(mean, label=label, linewidth=1.8, markersize=4.5, markevery=max(1, len(centre) // 12), **look)


def _smoothing_width(num_classes: int) -> int:
    return 2 * (num_classes // 20) + 1


def _note(runs: Sequence[np.ndarray], num_classes: int) -> str:
    if num_classes > _MOST_SEPARATE:
        return f"points: one class; lines: mean of {_smoothing_width(num_classes)} neighbouring classes"
    seeds = sorted({len(accuracy) for accuracy in runs})
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"mean ± sd over {number} seeds" if seeds[-1] > 1 else "one seed"


def _shade(axes: Axes, strip: Axes, groups: Mapping[str, list[int]]) -> None:
    start = -0.5
    for position, (name, members) in enumerate(groups.items()):
        stop = start + len(members)
        for part in (axes, strip):
            part.axvspan(start, stop, color="#F2F2F2" if position % 2 == 0 else "white", zorder=-2, linewidth=0)
        axes.text((start + stop) / 2, 109, name, ha="center", va="top", fontsize=style.LABEL_SIZE, color="#444444")
        start = stop
