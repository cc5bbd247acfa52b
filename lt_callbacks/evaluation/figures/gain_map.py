from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison.comparison import Comparison
from lt_callbacks.evaluation.comparison.gains import Gain, gain_over
from lt_callbacks.evaluation.comparison.number_text import signed
from lt_callbacks.evaluation.figures import setting_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALLEST_SCALE = 1.0


def gain_maps_figure(
    comparison: Comparison,
    *,
    rows: str,
    columns: str,
    method: str,
    against: Mapping[str, Sequence[str]],
    at: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> Figure:
    """How much better a method is than others over two settings, one map a comparison, on one scale centred at 0.

    Differences are paired by seed; each cell shows the mean in percentage points and its 95 % interval below. A dark
    outline marks the cells whose interval leaves out 0. Grey: not run there.

    Args:
        comparison: Pooled results.
        rows: Axis whose values run upwards.
        columns: Axis whose values run to the right.
        method: The method that is compared.
        against: Title of a map -> methods of which the best at each place is the reference, such as
            ``{"better teacher": ["f_L alone", "f_N alone"], "CE": ["CE"]}``.
        at: Values of all other axes.
        title: Title of the figure.

    Raises:
        ValueError: An axis is unknown, several settings share a place, or no two methods have a seed in common.
    """
    here = setting_map.places(comparison, rows=rows, columns=columns, at=at or {})
    shape = len(comparison.values(rows)), len(comparison.values(columns))
    gains = {
        name: [gain_over(place[0].results, method=method, references=others) if place else None for place in here]
        for name, others in against.items()
    }
    gains = {name: places for name, places in gains.items() if any(places)}
    if not gains:
        rule, got = "share seeds with a method of `against`", f"{method!r} against {dict(against)}"
        raise ArgumentValueError("method", rule=rule, got=got, way_out="Leave the figure out.")
    found = [gain for places in gains.values() for gain in places if gain]
    scale = max(_SMALLEST_SCALE, *(abs(gain.difference.mean) for gain in found))
    figure, axes = setting_map.panels(
        [f"{method} − {name}" for name in gains],
        num_rows=shape[0],
        num_columns=shape[1],
        title=f"Gain of {method}" if title is None else title,
        note=_note(found),
    )
    for panel, (name, places) in zip(axes, gains.items(), strict=True):
        means = np.array([gain.difference.mean if gain else np.nan for gain in places]).reshape(shape)
        image = setting_map.paint(panel, means, colours="RdBu", lowest=-scale, highest=scale)
        setting_map.frame(panel, comparison, rows=rows, columns=columns, title=f"{method} − {name}")
        for position, gain in enumerate(places):
            if gain:
                row, column = divmod(position, shape[1])
                value = gain.difference.mean
                setting_map.write(panel, image, row, column, value, signed(value), _interval(gain))
                if gain.difference.is_above_zero or gain.difference.is_below_zero:
                    _outline(panel, row, column)
    setting_map.colour_bar(figure, image, axes, "percentage points")
    return figure


def _interval(gain: Gain) -> str:
    if gain.difference.interval is None:
        return ""
    low, high = gain.difference.interval
    return f"[{signed(low)}, {signed(high)}]"


def _outline(axes: Axes, row: int, column: int) -> None:
    from matplotlib.patches import Rectangle

    corner = (column - 0.45, row - 0.45)
    axes.add_patch(Rectangle(corner, 0.9, 0.9, fill=False, edgecolor="black", linewidth=1.1))


def _note(gains: Sequence[Gain]) -> str:
    if all(gain.difference.interval is None for gain in gains):
        return "accuracy, percentage points, one seed: no interval"
    return "accuracy, percentage points, paired by seed, 95 % interval; outlined where it leaves out 0"
