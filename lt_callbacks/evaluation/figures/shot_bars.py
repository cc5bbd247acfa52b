from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.statistics import mean, sd
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures.percent_bars import bar_lengths
from lt_callbacks.evaluation.records.method_result import accuracy_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Characters above a panel.
_TITLE_WIDTH = 44

_GROUPS = ("many", "medium", "few")


def shot_bars_figure(
    comparison: Comparison,
    *,
    settings: Sequence[SettingResults] | None = None,
    title: str = "Accuracy on many, medium and few",
) -> Figure:
    """Accuracy on the classes with many, medium and few samples, one panel a setting, one bar a method.

    Bars are means over seeds, with one standard deviation that ends at 0 and 100 %. A group without classes has none.

    Args:
        comparison: Pooled results; a method has the same colour in all of its figures.
        settings: Those shown, in this order; left out: all.
        title: Title of the figure.

    Raises:
        ValueError: No settings.
    """
    shown = list(comparison.settings if settings is None else settings)
    if not shown:
        rule, way_out = "hold at least one setting", "Leave it out for all."
        raise ArgumentValueError("settings", rule=rule, got="none", way_out=way_out)
    wide = 2 if len(shown) == 4 else min(len(shown), 3)
    deep = -(-len(shown) // wide)
    width = max(5.4, 3.5 * wide)
    figure = style.new_figure(width, 2.5 * deep + 0.5 + 0.2 * style.legend_rows(comparison.methods, width))
    common, names = _names(shown)
    figure.suptitle(", ".join([title, *common]), fontsize=style.TITLE_SIZE + 1, x=0.01, ha="left")
    grid = figure.subplots(deep, wide, squeeze=False, sharey=True)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    handles: dict[str, object] = {}
    for axes, setting, name in zip(grid.flat, shown, names, strict=False):
        handles |= _bars(axes, comparison.methods, setting)
        style.finish_axes(axes, title=name)
        axes.title.set_fontsize(style.LABEL_SIZE)
        axes.set_xticks(range(len(_GROUPS)), _GROUPS)
        axes.set_xlim(-0.5, len(_GROUPS) - 0.5)
        axes.set_ylim(0, 100)
        axes.tick_params(labelleft=True)
    name = accuracy_name([result for setting in shown for result in setting.results])
    for axes in grid[:, 0]:
        axes.set_ylabel(name, fontsize=style.LABEL_SIZE)
    labels = [method for method in comparison.methods if method in handles]
    style.add_legend(figure, [handles[label] for label in labels], labels)
    return figure


def _names(shown: Sequence[SettingResults]) -> tuple[list[str], list[str]]:
    """What all panels have in common, for the title, and what each has of its own, in lines that fit above it."""
    parts = [setting.title.split(", ") for setting in shown]
    common = [part for part in parts[0] if len(shown) > 1 and all(part in other for other in parts)]
    own = [", ".join(part for part in each if part not in common) for each in parts]
    return common, ["\n".join(textwrap.wrap(name, _TITLE_WIDTH)) for name in own]


def _bars(axes: Axes, methods: Sequence[str], setting: SettingResults) -> dict[str, object]:
    """Draw a setting; returns method -> its bars, for the legend."""
    handles: dict[str, object] = {}
    width = 0.84 / len(methods)
    for position, method in enumerate(methods):
        runs = setting.of(method)
        shares = [[value for run in runs if (value := getattr(run, group)) is not None] for group in _GROUPS]
        if not any(shares):
            continue
        centre = [mean(values) if values else np.nan for values in shares]
        spread = [sd(values) if values else None for values in shares]
        lengths = [np.nan if each is None else each for each in spread]
        bars = bar_lengths(centre, lengths) if any(spread) else None
        handles[method] = axes.bar(
            np.arange(len(_GROUPS)) + (position - (len(methods) - 1) / 2) * width,
            centre,
            0.92 * width,
            yerr=bars,
            color=style.method_style(position)["color"],
            error_kw={"elinewidth": 0.9, "ecolor": "#222222"},
            label=method,
        )
    return handles
