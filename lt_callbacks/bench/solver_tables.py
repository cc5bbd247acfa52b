"""Tables of `lt-bench transport` and `lt-bench scaling`: solvers side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lt_callbacks.bench.document import measurements_of
from lt_callbacks.bench.table import Table, conditions, milliseconds, times


def transport_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench transport`: times and ratios by problem, times of every solver, accuracies."""
    measurements = measurements_of(content)
    ours = _names(measurements, lambda row: row["group"] == "ours" and "median_ms" in row)
    headings = ["problem", "sweeps", "best peer", "ms", "best library", "ms", "naive ms"]
    kinds = {
        "best_peer": "best peer / ours",
        "best_library": "best library / ours",
        "naive": "naive / ours",
        "floor": "floor / ours",
    }
    for name in ours:
        headings += [f"{name} ms", *kinds.values()]
    lines = []
    for name, entry in measurements.items():
        rows = entry["solvers"]
        any_ratio: Mapping[str, Any] = next(iter(entry["ratios"].values()), {})
        line = [name, str(entry["plain_sweeps"])]
        for kind in ("best_peer", "best_library"):
            best = any_ratio.get(kind, {}).get("name")
            line += [best or "-", milliseconds(rows[best]["median_ms"] if best else None)]
        naive = any_ratio.get("naive", {}).get("name")
        line.append(milliseconds(rows[naive]["median_ms"] if naive else None))
        for backend in ours:
            found = entry["ratios"].get(backend, {})
            line.append(milliseconds(rows.get(backend, {}).get("median_ms")))
            line += [times(found.get(kind, {}).get("by_median")) for kind in kinds]
        lines.append(tuple(line))
    return [
        Table("Time to a relative column error of 1e-3", tuple(headings), lines, [conditions(content)]),
        *(_all_solvers(measurements, mode) for mode in dict.fromkeys(entry["mode"] for entry in measurements.values())),
        _accuracies(content),
    ]


def _all_solvers(every: Mapping[str, Any], mode: str) -> Table:
    measurements = {name.partition(":")[2]: entry for name, entry in every.items() if entry["mode"] == mode}
    lines = []
    for name in _names(measurements, lambda _: True):
        line = [name]
        for entry in measurements.values():
            row = entry["solvers"].get(name, {})
            line.append(milliseconds(row["median_ms"]) if "median_ms" in row else "not reached" if row else "-")
        lines.append(tuple(line))
    why = {
        f"{name}, {problem}: {row['not_timed'].rstrip('.')}."
        for problem, entry in measurements.items()
        for name, row in entry["solvers"].items()
        if "not_timed" in row
    }
    return Table(f"Median milliseconds of every solver, {mode}", ("solver", *measurements), lines, sorted(why))


def _accuracies(content: Mapping[str, Any]) -> Table:
    """What the solvers' plans are like, over all problems: the worst."""
    measurements = measurements_of(content)
    lines = []
    for name in _names(measurements, lambda row: "median_ms" in row and row["group"] != "extra"):
        rows = [
            entry["solvers"][name] for entry in measurements.values() if "median_ms" in entry["solvers"].get(name, {})
        ]
        counts = [row["iterations"] for row in rows]
        worst = [max(row[key] for row in rows) for key in ("column_error", "row_error", "distance_max_entry")]
        mean_row = max(row["distance_mean_row_l1"] for row in rows)
        is_normalised = any(row["rows_normalised"] for row in rows)
        lines.append(
            (
                name,
                str(len(rows)),
                f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0]),
                *(f"{value:.1e}" for value in (*worst, mean_row)),
                "yes" if is_normalised else "no",
            )
        )
    headings = (
        "solver",
        "problems",
        "iterations",
        "column error",
        "row error",
        "max abs(Q - Q64)",
        "row L1",
        "rows set",
    )
    return Table("Accuracy in float64, the worst over all problems", headings, lines)


def _names(measurements: Mapping[str, Any], is_wanted: Callable[[Any], bool]) -> list[str]:
    """Solvers in the order in which they first come."""
    names: dict[str, None] = {}
    for entry in measurements.values():
        for name, row in entry["solvers"].items():
            if is_wanted(row):
                names[name] = None
    return list(names)


def scaling_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench scaling`: one for each axis, with a line for each solver."""
    by_axis: dict[str, dict[str, Any]] = {}
    for entry in measurements_of(content).values():
        by_axis.setdefault(entry["axis"], {})[f"{entry['place']:g}"] = entry
    found = []
    for axis, measurements in by_axis.items():
        if axis == "memory":
            found.append(_memory(measurements))
            continue
        lines = []
        for name in _names(measurements, lambda row: "median_ms" in row and "no copies" not in row):
            rows = [entry["solvers"].get(name, {}) for entry in measurements.values()]
            lines.append((name, *(milliseconds(row.get("median_ms")) + _unmet(row) for row in rows)))
        for backend in _names(measurements, lambda row: row["group"] == "ours" and "median_ms" in row):
            ratios = [entry["ratios"].get(backend, {}).get("best_peer", {}) for entry in measurements.values()]
            lines.append((f"best peer / {backend}", *(times(ratio.get("by_median")) for ratio in ratios)))
        lines.append(("plain sweeps", *(str(entry["plain_sweeps"]) for entry in measurements.values())))
        notes = ["Milliseconds, median; - where the criterion is not met."]
        if any(_unmet(row) for entry in measurements.values() for row in entry["solvers"].values()):
            notes.append("(!) stopped before the criterion was met.")
        found.append(Table(f"Time by {axis}", (axis, *measurements), lines, notes))
    found[-1].notes.append(conditions(content))
    return found


def _unmet(row: Mapping[str, Any]) -> str:
    return "" if row.get("is_met", True) else " (!)"


def _memory(measurements: Mapping[str, Any]) -> Table:
    names: dict[str, None] = {}
    for entry in measurements.values():
        names.update(dict.fromkeys(entry["memory"]))
    lines = [
        (
            name,
            *(milliseconds(entry["memory"].get(name, {}).get("peak_mib")) for entry in measurements.values()),
        )
        for name in names
    ]
    lines.append(("the matrix itself", *(milliseconds(entry["problem_mib"]) for entry in measurements.values())))
    headings = (
        "peak MiB",
        *(f"{entry['num_rows']} x {entry['num_classes']}" for entry in measurements.values()),
    )
    return Table("Memory of one solution, the problem not counted", headings, lines)
