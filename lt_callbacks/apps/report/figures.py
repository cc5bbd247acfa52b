"""Which figures show a comparison: maps where two settings vary, lines where one does, bars in any case."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lt_callbacks.apps.report.methods import Compared
from lt_callbacks.evaluation import (
    Comparison,
    SettingResults,
    accuracy_lines_figure,
    accuracy_maps_figure,
    gain_lines_figure,
    gain_maps_figure,
    gain_over,
    shot_bars_figure,
)
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.figures.fonts import plain
from lt_callbacks.evaluation.pages.report_blocks import Picture
from lt_callbacks.evaluation.records.method_result import TEST_SET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_FIGURES = MOST_PANELS = 9
_DPI = 192

#: Beginnings of the names of all files that a report writes into its folder of figures.
NAMES = ("accuracy_map", "gain_map", "accuracy_line", "gain_line", "shots")


def accuracy_pictures(comparison: Comparison, *, group_by: Sequence[str]) -> list[Picture]:
    """Maps or lines of the mean accuracy over the settings; none for a single setting."""
    pictures = []
    for end, at in _combinations(comparison, group_by):
        rows, columns = plane(comparison, group_by)
        title = f"{'Test accuracy' if comparison.scored_on == TEST_SET else 'Accuracy'}{_told(at)}"
        if rows is None:
            if columns is not None:
                figure = accuracy_lines_figure(comparison, axis=columns, at=at, title=plain(title))
                pictures.append(_picture(f"accuracy_line{end}", figure, f"{title}, along {columns}, by method"))
        else:
            figure = accuracy_maps_figure(comparison, rows=rows, columns=str(columns), at=at, title=plain(title))
            pictures.append(_picture(f"accuracy_map{end}", figure, f"{title}, over {rows} and {columns}, by method"))
    return pictures


def gain_pictures(comparison: Comparison, compared: Compared, *, group_by: Sequence[str]) -> list[Picture]:
    """Maps or lines of the compared method's gain; none for a single setting, or where no seeds are common."""
    pictures = []
    for end, at in _combinations(comparison, group_by):
        rows, columns = plane(comparison, group_by)
        if columns is None or not _has_gains(comparison.at(at), compared):
            continue
        title = f"Gain of {compared.method}{_told(at)}"
        options: dict[str, Any] = {
            "method": compared.method,
            "against": compared.against,
            "at": at,
            "title": plain(title),
        }
        if rows is None:
            figure = gain_lines_figure(comparison, axis=columns, **options)
            pictures.append(_picture(f"gain_line{end}", figure, f"{title}, along {columns}"))
        else:
            figure = gain_maps_figure(comparison, rows=rows, columns=columns, **options)
            pictures.append(_picture(f"gain_map{end}", figure, f"{title}, over {rows} and {columns}"))
    return pictures


def shot_picture(comparison: Comparison, *, group_by: Sequence[str]) -> Picture | None:
    """Bars of many, medium and few, at a selection of the settings where there are more than panels; None without."""
    shown = selected(comparison, group_by)
    if not any(result.many is not None for setting in shown for result in setting.results):
        return None
    figure = shot_bars_figure(comparison, settings=shown)
    caption = "Mean over seeds, bar: one standard deviation; bars end at 0 and 100 %."
    if len(shown) < len(comparison.settings):
        titles = "; ".join(setting.title for setting in shown)
        caption += f" {len(shown)} of {len(comparison.settings)} settings are drawn: {titles}. The table has all."
    return _picture("shots", figure, "Accuracy on the classes with many, medium and few samples, by method", caption)


def not_drawn(comparison: Comparison, *, group_by: Sequence[str]) -> str:
    """A sentence about the maps or lines that there are too many of; empty where all are drawn."""
    every = _drawn(comparison, group_by)
    if len(every) <= MOST_FIGURES:
        return ""
    first, last = (_told(at).removeprefix(", ") for at in (every[MOST_FIGURES], every[-1]))
    return (
        f"Drawn for the first {MOST_FIGURES} of {len(every)} values of the other settings; not for {first} to {last}. "
        "The table has all."
    )


def plane(comparison: Comparison, group_by: Sequence[str]) -> tuple[str | None, str | None]:
    """Axes that the figures go over: rows and columns of maps, or None and the axis of lines, or None and None."""
    varying = [axis for axis in comparison.axes if len(comparison.values(axis)) > 1]
    asked = [axis for axis in group_by if axis in varying]
    chosen = asked[:2] or [axis for axis in setting_axes.MAIN if axis in varying]
    if not chosen:
        chosen = sorted(varying, key=lambda axis: -_num_numbers(comparison, axis))[:1]
    if len(chosen) > 1:
        return chosen[0], chosen[1]
    return None, chosen[0] if chosen else None


def selected(comparison: Comparison, group_by: Sequence[str]) -> list[SettingResults]:
    """At most nine settings: all of them, or from the ends and the middle of the figures' axes."""
    if len(comparison.settings) <= MOST_PANELS:
        return list(comparison.settings)
    axes = [axis for axis in plane(comparison, group_by) if axis is not None]
    most = 3 if len(axes) > 1 else MOST_PANELS
    kept = {axis: _spread([setting_axes.identity(v) for v in comparison.values(axis)], most) for axis in axes}
    first = next(iter(_others(comparison, group_by).values()))
    found = [
        setting
        for setting in comparison.at(first)
        if all(setting_axes.identity(setting.values[axis]) in kept[axis] for axis in axes)
    ]
    return found or list(comparison.settings[:MOST_PANELS])


def _spread(values: list[str], most: int) -> list[str]:
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _num_numbers(comparison: Comparison, axis: str) -> int:
    return sum(setting_axes.is_number(value) for value in comparison.values(axis))


def _combinations(comparison: Comparison, group_by: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """End of a file's name, and values of the axes that the figure does not go over."""
    every = _drawn(comparison, group_by)
    for position, at in enumerate(every[:MOST_FIGURES]):
        yield (f"-{position + 1}" if len(every) > 1 else ""), at


def _drawn(comparison: Comparison, group_by: Sequence[str]) -> list[dict[str, Any]]:
    """Values of the other axes, one mapping a figure, without those that have one place only: no map and no line."""
    return [at for at in _others(comparison, group_by).values() if len(comparison.at(at)) > 1]


def _others(comparison: Comparison, group_by: Sequence[str]) -> dict[str, dict[str, Any]]:
    drawn = plane(comparison, group_by)
    found: dict[str, dict[str, Any]] = {}
    for setting in comparison.settings:
        at = {axis: value for axis, value in setting.values.items() if axis not in drawn}
        found.setdefault(setting_axes.identity(at), at)
    return found


def _told(at: Mapping[str, Any]) -> str:
    return "".join(f", {axis}={setting_axes.text(value)}" for axis, value in at.items())


def _has_gains(settings: Sequence[SettingResults], compared: Compared) -> bool:
    return any(
        gain_over(setting.results, method=compared.method, references=others) is not None
        for setting in settings
        for others in compared.against.values()
    )


def _picture(name: str, figure: Figure, title: str, caption: str = "") -> Picture:
    content = io.BytesIO()
    # without the matplotlib version in the file, equal pictures are equal bytes
    figure.savefig(content, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return Picture(name=name, png=content.getvalue(), title=title, caption=caption)
