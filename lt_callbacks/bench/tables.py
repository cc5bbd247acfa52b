"""Tables of bench documents: rows of text, for the terminal and for Markdown alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: What it shows.
        headings: Of the columns; the first column is aligned to the left.
        rows: As many entries each.
        notes: Sentences below it.
    """

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


def tables_of(content: Mapping[str, Any]) -> list[Table]:
    """The tables of a document, in the order in which they are shown."""
    return _MAKERS[content["kind"]](content)


def markdown(table: Table) -> str:
    """The table for a page, without its title."""
    lines = [
        f"| {' | '.join(table.headings)} |",
        f"| :--- |{' ---: |' * (len(table.headings) - 1)}",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table.rows),
    ]
    return "\n".join([*lines, *(["", *table.notes] if table.notes else [])])


def markdown_tables(content: Mapping[str, Any], *, only: Sequence[str] = ()) -> str:
    """Tables of a document for a page, each below its title.

    Args:
        content: The document.
        only: Tables whose titles begin with one of these; none: all.
    """
    chosen = [table for table in tables_of(content) if not only or table.title.startswith(tuple(only))]
    return "\n\n".join(f"**{table.title}**\n\n{markdown(table)}" for table in chosen)


def conditions(content: Mapping[str, Any]) -> str:
    """One sentence on where and how it was measured."""
    machine, settings = content["hardware"], content["settings"]
    where = machine["gpus"][0] if settings.get("device") == "cuda" and machine["gpus"] else machine["cpu"]
    threads = f"{machine['threads']} thread" + ("s" if machine["threads"] > 1 else "")
    shown = [f"{name} {version}" for name, version in content["versions"].items() if version]
    lacking = f" Not installed: {', '.join(content['missing'])}." if content["missing"] else ""
    return f"{where}, {threads} of {machine['num_cores']} cores; {', '.join(shown)}.{lacking}"


def milliseconds(value: float | None) -> str:
    """Three digits."""
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def times(value: float | None) -> str:
    """A ratio; below 1 the other one is faster."""
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _transport(content: Mapping[str, Any]) -> list[Table]:
    cells = content["cells"]
    ours = _names(cells, lambda row: row["group"] == "ours" and "median_ms" in row)
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
    for name, cell in cells.items():
        rows = cell["solvers"]
        any_ratio: Mapping[str, Any] = next(iter(cell["ratios"].values()), {})
        line = [name, str(cell["plain_sweeps"])]
        for kind in ("best_peer", "best_library"):
            best = any_ratio.get(kind, {}).get("name")
            line += [best or "-", milliseconds(rows[best]["median_ms"] if best else None)]
        naive = any_ratio.get("naive", {}).get("name")
        line.append(milliseconds(rows[naive]["median_ms"] if naive else None))
        for backend in ours:
            found = cell["ratios"].get(backend, {})
            line.append(milliseconds(rows.get(backend, {}).get("median_ms")))
            line += [times(found.get(kind, {}).get("by_median")) for kind in kinds]
        lines.append(tuple(line))
    return [
        Table("Time to a relative column error of 1e-3", tuple(headings), lines, [conditions(content)]),
        *(_all_solvers(cells, mode) for mode in dict.fromkeys(cell["mode"] for cell in cells.values())),
        _accuracies(content),
    ]


def _all_solvers(every: Mapping[str, Any], mode: str) -> Table:
    cells = {name.partition(":")[2]: cell for name, cell in every.items() if cell["mode"] == mode}
    lines = []
    for name in _names(cells, lambda _: True):
        line = [name]
        for cell in cells.values():
            row = cell["solvers"].get(name, {})
            line.append(milliseconds(row["median_ms"]) if "median_ms" in row else "not reached" if row else "-")
        lines.append(tuple(line))
    why = {
        f"{name}, {cell_name}: {row['not_timed'].rstrip('.')}."
        for cell_name, cell in cells.items()
        for name, row in cell["solvers"].items()
        if "not_timed" in row
    }
    return Table(f"Median milliseconds of every solver, {mode}", ("solver", *cells), lines, sorted(why))


def _accuracies(content: Mapping[str, Any]) -> Table:
    """What the solvers' plans are like, over all cells: the worst."""
    cells = content["cells"]
    lines = []
    for name in _names(cells, lambda row: "median_ms" in row and row["group"] != "extra"):
        rows = [cell["solvers"][name] for cell in cells.values() if "median_ms" in cell["solvers"].get(name, {})]
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


def _names(cells: Mapping[str, Any], is_wanted: Callable[[Any], bool]) -> list[str]:
    """Solvers in the order in which they first come."""
    names: dict[str, None] = {}
    for cell in cells.values():
        for name, row in cell["solvers"].items():
            if is_wanted(row):
                names[name] = None
    return list(names)


def _scaling(content: Mapping[str, Any]) -> list[Table]:
    """One table an axis: a line for each solver."""
    by_axis: dict[str, dict[str, Any]] = {}
    for cell in content["cells"].values():
        by_axis.setdefault(cell["axis"], {})[f"{cell['place']:g}"] = cell
    found = []
    for axis, cells in by_axis.items():
        if axis == "memory":
            found.append(_memory(cells))
            continue
        lines = []
        for name in _names(cells, lambda row: "median_ms" in row and "no copies" not in row):
            rows = [cell["solvers"].get(name, {}) for cell in cells.values()]
            lines.append((name, *(milliseconds(row.get("median_ms")) + _unmet(row) for row in rows)))
        for backend in _names(cells, lambda row: row["group"] == "ours" and "median_ms" in row):
            ratios = [cell["ratios"].get(backend, {}).get("best_peer", {}) for cell in cells.values()]
            lines.append((f"best peer / {backend}", *(times(ratio.get("by_median")) for ratio in ratios)))
        lines.append(("plain sweeps", *(str(cell["plain_sweeps"]) for cell in cells.values())))
        notes = ["Milliseconds, median; - where the criterion is not met."]
        if any(_unmet(row) for cell in cells.values() for row in cell["solvers"].values()):
            notes.append("(!) stopped before the criterion was met.")
        found.append(Table(f"Time by {axis}", (axis, *cells), lines, notes))
    found[-1].notes.append(conditions(content))
    return found


def _unmet(row: Mapping[str, Any]) -> str:
    return "" if row.get("is_met", True) else " (!)"


def _memory(cells: Mapping[str, Any]) -> Table:
    names: dict[str, None] = {}
    for cell in cells.values():
        names.update(dict.fromkeys(cell["memory"]))
    lines = [
        (name, *(milliseconds(cell["memory"].get(name, {}).get("peak_mib")) for cell in cells.values()))
        for name in names
    ]
    lines.append(("the matrix itself", *(milliseconds(cell["problem_mib"]) for cell in cells.values())))
    headings = ("peak MiB", *(f"{cell['num_rows']} x {cell['num_classes']}" for cell in cells.values()))
    return Table("Memory of one solution, the problem not counted", headings, lines)


def _step(content: Mapping[str, Any]) -> list[Table]:
    cells = content["cells"]
    timed = {name: cell for name, cell in cells.items() if "rows" in cell}
    profiles = {name.partition(":")[0]: cell["shares"] for name, cell in cells.items() if "shares" in cell}
    found = []
    if timed:
        ways = list(next(iter(timed.values()))["rows"])
        lines = [
            (
                way,
                *(
                    f"{milliseconds(cell['rows'][way]['median_ms'])} {_spread(cell['rows'][way])}"
                    for cell in timed.values()
                ),
            )
            for way in ways
        ]
        for name in next(iter(timed.values()))["ratios"]:
            lines.append((name, *(times(cell["ratios"][name]["by_median"]) for cell in timed.values())))
        sweeps = [f"{name.partition(':')[0]}: {cell['sweeps']}" for name, cell in timed.items() if "sweeps" in cell]
        notes = ["Milliseconds a step, median [quartiles].", f"Sweeps of the last step: {'; '.join(sweeps)}."]
        found.append(Table("One training step", ("step", *timed), lines, notes))
    if profiles:
        parts = list(next(iter(profiles.values())))
        lines = [
            (
                part,
                *(
                    f"{milliseconds(shares[part]['median_ms'])} ({100 * shares[part]['share']:.1f} %)"
                    for shares in profiles.values()
                ),
            )
            for part in parts
        ]
        found.append(Table("Where the time of a D-SINK step goes", ("part", *profiles), lines))
    found[-1].notes.append(conditions(content))
    return found


def _spread(row: Mapping[str, Any]) -> str:
    return f"[{milliseconds(row['quartiles_ms'][0])}, {milliseconds(row['quartiles_ms'][1])}]"


def _cell(content: Mapping[str, Any]) -> list[Table]:
    cells = list(content["cells"].values())
    lines = []
    for way in cells[0]["rows"]:
        rows = [cell["rows"][way] for cell in cells]
        columns = [[row[key] for row in rows] for key in ("total_seconds", "teacher_seconds", "student_seconds")]
        columns.append([statistics.median(row["epoch_seconds"]) for row in rows])
        columns.append([row["accuracy"] for row in rows])
        lines.append((way, *(_median_and_range(column) for column in columns)))
    for name in cells[0]["ratios"]:
        lines.append((name, _median_and_range([cell["ratios"][name] for cell in cells]), "", "", "", ""))
    headings = ("way", "total s", "teachers s", "student s", "student epoch s", "test accuracy %")
    settings = content["settings"]
    epochs, seeds = settings["common"]["epochs"], len(cells)
    notes = [
        f"Median [smallest, largest] over {seeds} seed(s); {settings['model']}, {epochs} epochs of each network.",
        conditions(content),
    ]
    return [Table("Two teachers and a student", headings, lines, notes)]


def _median_and_range(values: Sequence[float]) -> str:
    if len(values) == 1:
        return milliseconds(values[0])
    return f"{milliseconds(statistics.median(values))} [{milliseconds(min(values))}, {milliseconds(max(values))}]"


def _adsa(content: Mapping[str, Any]) -> list[Table]:
    cells = content["cells"]
    lines: list[tuple[str, ...]] = []
    for name, cell in cells.items():
        for way, row in cell["rows"].items():
            ratio = cell["ratios"].get(way, {}).get("by_median")
            memory = row.get("peak_mib")
            lines.append(
                (
                    f"{name}: {way}",
                    f"{row['median_ms'] / 1e3:.3g}",
                    times(ratio),
                    milliseconds(memory),
                    f"{row['tau']:.4f}",
                )
            )
    notes = ["Seconds to fit tau, median; memory above that of the batches that the stream goes round."]
    headings = ("images x classes: way", "s", "this / streaming", "peak MiB", "tau")
    return [Table("Fit of tau", headings, lines, [*notes, conditions(content)])]


def _loss(content: Mapping[str, Any]) -> list[Table]:
    cells = content["cells"]
    lines = []
    for name in next(iter(cells.values()))["rows"]:
        rows = [cell["rows"].get(name, {}) for cell in cells.values()]
        lines.append((name, *(milliseconds(row.get("median_ms")) for row in rows)))
        if not name.startswith("ours"):
            ratios = [cell["ratios"].get(name, {}) for cell in cells.values()]
            lines.append((f"{name} / ours", *(times(ratio.get("by_median")) for ratio in ratios)))
    errors = [max(row["gradient_error"] for row in cell["rows"].values()) for cell in cells.values()]
    lines.append(("largest error of a gradient entry", *(f"{error:.0e}" for error in errors)))
    notes = [
        "Milliseconds, median, forward and backward; total variation 1e-3, 100 sweeps at most.",
        conditions(content),
    ]
    return [Table("From predictions to the gradient", ("way", *cells), lines, notes)]


_MAKERS: dict[str, Callable[[Mapping[str, Any]], list[Table]]] = {
    "transport": _transport,
    "scaling": _scaling,
    "step": _step,
    "cell": _cell,
    "adsa": _adsa,
    "loss": _loss,
}
