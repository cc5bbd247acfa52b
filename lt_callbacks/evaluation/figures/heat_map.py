from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison.comparison import Comparison
from lt_callbacks.evaluation.comparison.statistics import mean, sd
from lt_callbacks.evaluation.figures import setting_map
from lt_callbacks.evaluation.records.method_result import accuracy_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def accuracy_maps_figure(
    comparison: Comparison,
    *,
    rows: str,
    columns: str,
    at: Mapping[str, Any] | None = None,
    methods: Sequence[str] | None = None,
    title: str = "Test accuracy",
) -> Figure:
    """Mean accuracy of each method over two settings, one map a method, all on one colour scale.

    The mean is printed in each cell with the standard deviation over seeds below it. A place where a method was not
    run is grey.

    Args:
        comparison: Pooled results.
        rows: Axis whose values run upwards.
        columns: Axis whose values run to the right.
        at: Values of all other axes.
        methods: Those shown, in this order; left out: all that were run here.
        title: Title of the figure.

    Raises:
        ValueError: An axis is unknown, several settings share a place, or no method was run.
    """
    here = setting_map.places(comparison, rows=rows, columns=columns, at=at or {})
    shape = len(comparison.values(rows)), len(comparison.values(columns))
    runs = {
        method: [[result.accuracy for setting in place for result in setting.of(method)] for place in here]
        for method in (comparison.methods if methods is None else methods)
    }
    runs = {method: places for method, places in runs.items() if any(places)}
    if not runs:
        rule, way_out = "name methods that were run here", "Leave it out for all."
        raise ArgumentValueError("methods", rule=rule, got=str(methods), way_out=way_out)
    means = {
        method: np.array([mean(place) if place else np.nan for place in places]).reshape(shape)
        for method, places in runs.items()
    }
    lowest, highest = (float(end([end(values[~np.isnan(values)]) for values in means.values()])) for end in (min, max))
    highest = max(highest, lowest + 1)
    seeds = sorted({len(place) for places in runs.values() for place in places if place})
    figure, axes = setting_map.panels(
        list(runs), num_rows=shape[0], num_columns=shape[1], title=title, note=_note(seeds, comparison.scored_on)
    )
    for panel, (method, places) in zip(axes, runs.items(), strict=True):
        image = setting_map.paint(
            panel, means[method], colours="Blues", lowest=lowest, highest=max(highest, lowest + 1)
        )
        setting_map.frame(panel, comparison, rows=rows, columns=columns, title=method)
        for position, place in enumerate(places):
            if place:
                row, column = divmod(position, shape[1])
                spread = sd(place)
                small = "" if spread is None else f"± {spread:.1f}"
                setting_map.write(panel, image, row, column, means[method][row, column], f"{mean(place):.1f}", small)
    setting_map.colour_bar(
        figure, image, axes, accuracy_name([result for place in comparison.settings for result in place.results])
    )
    return figure


def _note(seeds: Sequence[int], scored_on: str) -> str:
    if seeds[-1] == 1:
        return f"percent of {scored_on}, one seed"
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"percent of {scored_on}, mean ± sd over {number} seeds"
