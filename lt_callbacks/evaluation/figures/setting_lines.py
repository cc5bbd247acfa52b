from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_callbacks import _checks
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.gains import gain_over
from lt_callbacks.evaluation.comparison.statistics import mean, sd
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures import fonts
from lt_callbacks.evaluation.figures.percent_bars import BANDS_END, BARS_END, bar_lengths, is_cut
from lt_callbacks.evaluation.records.method_result import accuracy_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_lines_figure(
    comparison: Comparison, *, axis: str, at: Mapping[str, Any] | None = None, title: str = "Test accuracy"
) -> Figure:
    """Mean accuracy of each method along one setting, with a band of one standard deviation over seeds, within
    0 and 100 %.

    Values that are no numbers have no distance: they stand side by side, as points with bars.

    Args:
        comparison: Pooled results.
        axis: The setting along the figure.
        at: Values of all other axes.
        title: Title of the figure.

    Raises:
        ValueError: An axis is unknown, or several settings share a value.
    """
    line = _along(comparison, axis, at or {})
    figure = style.new_figure(6.4, 3.9 + 0.2 * style.legend_rows(comparison.methods, 6.4))
    axes = figure.subplots()
    places, is_line = _places(axes, line, axis)
    seeds, some_cut = set(), False
    for position, method in enumerate(comparison.methods):
        runs = [[result.accuracy for result in setting.of(method)] for setting in line]
        if not any(runs):
            continue
        seeds |= {len(run) for run in runs if run}
        centre = np.array([mean(run) if run else np.nan for run in runs])
        spread = np.array([(sd(run) or 0.0) if run else np.nan for run in runs])
        down, up = bar_lengths(centre, spread)
        some_cut |= is_cut(centre, spread)
        look = style.method_style(position)
        if is_line:
            axes.plot(places, centre, label=method, linewidth=1.6, markersize=5, **look)
            axes.fill_between(places, centre - down, centre + up, color=look["color"], alpha=0.13, linewidth=0)
        else:
            shift = 0.6 * ((position + 0.5) / len(comparison.methods) - 0.5)
            points = {**look, "linestyle": "none"}
            bars = (down, up) if max(map(len, runs)) > 1 else None
            axes.errorbar(places + shift, centre, bars, label=method, markersize=5.5, elinewidth=1.2, **points)
    style.finish_axes(
        axes, xlabel=axis, ylabel=accuracy_name([result for setting in line for result in setting.results]), title=title
    )
    style.add_legend(figure, *axes.get_legend_handles_labels())
    end = (BANDS_END if is_line else BARS_END) if some_cut else ""
    style.add_note(axes, "; ".join(part for part in (_note(seeds), end) if part))
    return figure


def gain_lines_figure(
    comparison: Comparison,
    *,
    axis: str,
    method: str,
    against: Mapping[str, Sequence[str]],
    at: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Figure:
    """How much better a method is than others along one setting: paired differences with 95 % intervals.

    Args:
        comparison: Pooled results.
        axis: The setting along the figure.
        method: The method that is compared.
        against: Name of a line -> methods of which the best at each place is the reference; see `gain_maps_figure`.
        at: Values of all other axes.
        title: Title of the figure.

    Raises:
        ValueError: An axis is unknown, several settings share a value, or no two methods have a seed in common.
    """
    line = _along(comparison, axis, at or {})
    figure = style.new_figure(6.4, 3.6)
    axes = figure.subplots()
    places, is_line = _places(axes, line, axis)
    step = np.diff(places).min() if len(places) > 1 else 1.0
    drawn = 0
    for position, (name, others) in enumerate(against.items()):
        gains = [gain_over(setting.results, method=method, references=others) for setting in line]
        if not any(gains):
            continue
        drawn += 1
        centre = np.array([gain.difference.mean if gain else np.nan for gain in gains])
        ends = [gain.difference.interval if gain and gain.difference.interval else (np.nan, np.nan) for gain in gains]
        low, high = np.array(ends).T
        look = {**style.method_style(position), **({} if is_line else {"linestyle": "none"})}
        # side by side, so that the intervals stay apart
        aside = position - (len(against) - 1) / 2
        x = places * 1.04**aside if axes.get_xscale() == "log" else places + (0.05 if is_line else 0.2) * step * aside
        label = f"{method} − {name}"
        bars = np.nan_to_num([centre - low, high - centre])
        axes.errorbar(x, centre, bars, label=label, linewidth=1.2, markersize=5, elinewidth=1.2, capsize=2.5, **look)
    if not drawn:
        rule, got = "share seeds with a method of `against`", f"{method!r} against {dict(against)}"
        raise ArgumentValueError("method", rule=rule, got=got, way_out="Leave the figure out.")
    axes.axhline(0, color=style.GREY, linewidth=0.8, zorder=0)
    shown = f"Gain of {method}" if title is None else title
    style.finish_axes(axes, xlabel=axis, ylabel="percentage points", title=shown)
    style.add_legend(figure, *axes.get_legend_handles_labels())
    style.add_note(axes, "paired by seed, 95 % interval")
    return figure


def _along(comparison: Comparison, axis: str, at: Mapping[str, Any]) -> list[SettingResults]:
    """The settings at these values, by the value of ``axis``."""
    _checks.one_of("axis", axis, comparison.axes)
    line = comparison.at(at)
    values = [setting_axes.identity(setting.values[axis]) for setting in line]
    if len(set(values)) < len(values):
        others = [name for name in comparison.axes if name != axis and name not in at]
        raise ArgumentValueError(
            "at",
            rule="say the values of all other axes",
            got=f"{dict(at)}, which leaves several settings at one value of {axis}",
            way_out=f"Add {' and '.join(others)}, one figure for each value.",
        )
    return sorted(line, key=lambda setting: setting_axes.order(setting.values[axis]))


def _places(axes: Axes, line: Sequence[SettingResults], axis: str) -> tuple[np.ndarray, bool]:
    """Where the values stand, and whether they have a distance; sets the scale and ticks of the axis."""
    from matplotlib.ticker import NullLocator

    values = [setting.values[axis] for setting in line]
    names = [fonts.plain(setting_axes.text(value)) for value in values]
    is_line = len(values) > 1 and all(setting_axes.is_number(value) for value in values)
    places = np.array(values if is_line else range(len(values)), dtype=float)
    if is_line and places.min() > 0 and places.max() / places.min() >= 10:
        # factors such as 10, 50, 100: equal ratios, equal distances
        axes.set_xscale("log")
    axes.set_xticks(places, names)
    axes.xaxis.set_minor_locator(NullLocator())
    if not is_line:
        axes.set_xlim(-0.6, len(values) - 0.4)
    return places, is_line


def _note(seeds: set[int]) -> str:
    if max(seeds) == 1:
        return "one seed"
    number = f"{max(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    return f"mean ± sd over {number} seeds"
