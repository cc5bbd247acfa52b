"""Figures of bench documents."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_callbacks.bench.document import measurements_of
from lt_callbacks.evaluation import save_figure
from lt_callbacks.evaluation.figures.figure_style import (
    GREY,
    TICK_SIZE,
    add_legend,
    finish_axes,
    method_style,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Peers drawn beside ours: the best of each kind. The table has all.
_DRAWN = 7


def write_figures(content: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw a document into ``bench_KIND*.png``; nothing for one without measurements."""
    if not measurements_of(content):
        return []
    return [
        save_figure(figure, folder / f"bench_{name.replace('-', '_')}.png")
        for name, figure in _MAKERS[content["kind"]](content).items()
    ]


def _transport(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Milliseconds by problem, a panel a mode."""
    by_mode: dict[str, dict[str, Any]] = {}
    for entry in measurements_of(content).values():
        tick = f"{entry['num_rows']}x{entry['num_classes']}\ns={entry['sharpness']:g}"
        by_mode.setdefault(entry["mode"], {})[tick] = entry
    names = _drawn([entry["solvers"] for entry in measurements_of(content).values()])
    figure = new_figure(8.0, 3.1 * len(by_mode) + 0.9)
    handles: dict[str, Any] = {}
    for position, (mode, measurements) in enumerate(by_mode.items()):
        axes = figure.add_subplot(len(by_mode), 1, position + 1)
        for place, name in enumerate(names):
            rows = [entry["solvers"].get(name, {}) for entry in measurements.values()]
            spots = [spot for spot, row in enumerate(rows) if "median_ms" in row]
            handles[name] = _line(axes, spots, [rows[spot] for spot in spots], place, is_joined=False)
        axes.set_yscale("log")
        finish_axes(axes, ylabel="ms to relative error 1e-3", title=mode)
        axes.set_xticks(range(len(measurements)), list(measurements), fontsize=TICK_SIZE - 1.5)
    add_legend(figure, list(handles.values()), list(handles))
    return {"transport": figure}


def _scaling(content: Mapping[str, Any]) -> dict[str, Figure]:
    """A figure an axis, both scales logarithmic."""
    from lt_callbacks.bench.scaling import AXES

    by_axis: dict[str, list[Any]] = {}
    for entry in measurements_of(content).values():
        by_axis.setdefault(entry["axis"], []).append(entry)
    figures = {}
    for axis, measurements in by_axis.items():
        measurements = sorted(measurements, key=lambda entry: entry["place"])
        figure = new_figure(6.4, 4.4)
        axes = figure.add_subplot()
        handles = {}
        if axis == "memory":
            names = list(dict.fromkeys(name for entry in measurements for name in entry["memory"]))
            for place, name in enumerate(names):
                known = [entry for entry in measurements if entry["memory"].get(name, {}).get("peak_mib", 0) > 0]
                values = [entry["memory"][name]["peak_mib"] for entry in known]
                places = [entry["place"] for entry in known]
                (handles[name],) = axes.plot(places, values, markersize=4, linewidth=1.2, **method_style(place))
            sizes = [entry["problem_mib"] for entry in measurements]
            (handles["the matrix itself"],) = axes.plot(
                [entry["place"] for entry in measurements], sizes, color=GREY, lw=0.8
            )
        else:
            for place, name in enumerate(_drawn([entry["solvers"] for entry in measurements])):
                known = [entry for entry in measurements if "median_ms" in entry["solvers"].get(name, {})]
                rows = [entry["solvers"][name] for entry in known]
                handles[name] = _line(axes, [entry["place"] for entry in known], rows, place, is_joined=True)
        axes.set_xscale("log")
        axes.set_yscale("log")
        places = [entry["place"] for entry in measurements]
        axes.set_xticks(places, [f"{place:g}" for place in places], minor=False)
        axes.minorticks_off()
        finish_axes(axes, xlabel=AXES[axis].title, ylabel="peak MiB" if axis == "memory" else "ms", grid="both")
        add_legend(figure, list(handles.values()), list(handles))
        figures[f"scaling_{axis}"] = figure
    return figures


def _line(axes: Axes, places: Sequence[float], rows: Sequence[Any], position: int, *, is_joined: bool) -> Any:
    """Medians with bars from quartile to quartile."""
    medians = [row["median_ms"] for row in rows]
    spread = [
        [max(median - row["quartiles_ms"][0], 0.0) for median, row in zip(medians, rows, strict=True)],
        [max(row["quartiles_ms"][1] - median, 0.0) for median, row in zip(medians, rows, strict=True)],
    ]
    style = method_style(position)
    if not is_joined:
        style["linestyle"] = "none"
    return axes.errorbar(places, medians, yerr=spread, markersize=4, linewidth=1.2, elinewidth=0.8, **style)


def _drawn(measurements: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ours, the naive loop, and those peers that are best or second best most often."""
    from lt_callbacks.bench.loops import NAIVE

    ours: dict[str, None] = {}
    score: dict[str, int] = {}
    for rows in measurements:
        timed = {name: row for name, row in rows.items() if "median_ms" in row}
        ours.update(dict.fromkeys(name for name, row in timed.items() if row["group"] == "ours"))
        peers = [name for name, row in timed.items() if row["group"] in ("library", "loop") and name != NAIVE]
        for rank, name in enumerate(sorted(peers, key=lambda name: timed[name]["median_ms"])):
            score[name] = score.get(name, 0) + max(0, 5 - rank)
    best = sorted(score, key=lambda name: -score[name])[: _DRAWN - 1 - len(ours)]
    has_naive = any("median_ms" in rows.get(NAIVE, {}) for rows in measurements)
    return [*ours, *best, *([NAIVE] if has_naive else [])]


def _step(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Milliseconds a step by way, a group of bars a setting, and the parts of a D-SINK step."""
    measurements = measurements_of(content)
    timed = {name: entry["rows"] for name, entry in measurements.items() if "rows" in entry}
    figures = {}
    if timed:
        ways = list(next(iter(timed.values())))
        figure = new_figure(1.6 + 2.2 * len(timed), 3.6)
        axes = figure.add_subplot()
        handles = _bars(axes, timed, ways)
        finish_axes(axes, ylabel="ms a step")
        add_legend(figure, handles, ways)
        figures["step"] = figure
    profiles = {name.partition(":")[0]: entry["shares"] for name, entry in measurements.items() if "shares" in entry}
    if profiles:
        figure = new_figure(6.4, 1.5 + 0.45 * len(profiles))
        axes = figure.add_subplot()
        parts = [part for part in next(iter(profiles.values())) if part != "step"]
        handles, left = [], [0.0] * len(profiles)
        for position, part in enumerate(parts):
            widths = [max(100 * shares[part]["share"], 0.0) for shares in profiles.values()]
            colour = method_style(position)["color"]
            handles.append(axes.barh(range(len(profiles)), widths, left=left, color=colour, height=0.6))
            left = [before + width for before, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(profiles)), list(profiles))
        finish_axes(axes, xlabel="% of a D-SINK step, live teachers", grid="x")
        add_legend(figure, handles, parts)
        figures["step_profile"] = figure
    return figures


def _bars(axes: Axes, groups: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[Any]:
    """Bars of medians with quartiles, a group of them for each measurement."""
    width, handles = 0.8 / len(names), []
    for position, name in enumerate(names):
        rows = [rows[name] for rows in groups.values()]
        medians = [row["median_ms"] for row in rows]
        spread = [
            [max(median - row["quartiles_ms"][0], 0.0) for median, row in zip(medians, rows, strict=True)],
            [max(row["quartiles_ms"][1] - median, 0.0) for median, row in zip(medians, rows, strict=True)],
        ]
        places = [group + (position - (len(names) - 1) / 2) * width for group in range(len(groups))]
        colour = method_style(position)["color"]
        handles.append(
            axes.bar(places, medians, width=0.9 * width, yerr=spread, color=colour, error_kw={"linewidth": 0.8})
        )
    axes.set_xticks(range(len(groups)), list(groups))
    return handles


def _training(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Seconds of teachers and student, a bar a way, with the totals of the seeds as points."""
    seeds = list(measurements_of(content).values())
    ways = list(seeds[0]["rows"])
    figure = new_figure(6.4, 1.3 + 0.5 * len(ways))
    axes = figure.add_subplot()
    left, handles = [0.0] * len(ways), []
    for position, part in enumerate(("teacher_seconds", "student_seconds")):
        widths = [statistics.median(entry["rows"][way][part] for entry in seeds) for way in ways]
        colour = method_style(position)["color"]
        handles.append(axes.barh(range(len(ways)), widths, left=left, color=colour, height=0.6))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    for entry in seeds:
        totals = [entry["rows"][way]["total_seconds"] for way in ways]
        (points,) = axes.plot(totals, range(len(ways)), "o", color="black", markersize=3)
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    finish_axes(axes, xlabel="seconds", grid="x")
    add_legend(figure, [*handles, points], ["two teachers", "student", "total, a seed"])
    return {"training": figure}


def _adsa(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Seconds and memory by way."""
    measurements = measurements_of(content)
    ways = list(next(iter(measurements.values()))["rows"])
    figure = new_figure(7.4, 3.4)
    handles: list[Any] = []
    for panel, (key, unit) in enumerate((("median_ms", "seconds"), ("peak_mib", "peak MiB"))):
        axes = figure.add_subplot(1, 2, panel + 1)
        handles, drawn = [], []
        for position, way in enumerate(ways):
            values = [entry["rows"][way].get(key) or 0.0 for entry in measurements.values()]
            heights = [value / 1e3 for value in values] if key == "median_ms" else values
            places = [group + 0.25 * position for group in range(len(measurements))]
            drawn += [height for height in heights if height > 0]
            handles.append(axes.bar(places, heights, width=0.22, color=method_style(position)["color"]))
        if drawn and max(drawn) > 30 * min(drawn):
            axes.set_yscale("log")
        axes.set_xticks([group + 0.25 for group in range(len(measurements))], list(measurements))
        finish_axes(axes, ylabel=unit)
    add_legend(figure, handles, ways)
    return {"adsa": figure}


def _loss(content: Mapping[str, Any]) -> dict[str, Figure]:
    """Milliseconds by way, a group of bars a problem."""
    groups = {name: entry["rows"] for name, entry in measurements_of(content).items()}
    ways = list(next(iter(groups.values())))
    figure = new_figure(2.0 + 2.0 * len(groups), 3.4)
    axes = figure.add_subplot()
    handles = _bars(axes, groups, ways)
    finish_axes(axes, ylabel="ms, forward and backward")
    add_legend(figure, handles, ways)
    return {"loss": figure}


_MAKERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Figure]]] = {
    "transport": _transport,
    "scaling": _scaling,
    "step": _step,
    "training": _training,
    "adsa": _adsa,
    "loss": _loss,
}
