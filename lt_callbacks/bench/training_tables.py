"""Tables of `lt-bench` about training: steps, whole trainings, the loss, the fit of tau."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lt_callbacks.bench.document import measurements_of
from lt_callbacks.bench.table import Table, conditions, milliseconds, times


def step_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench step`: times and ratios of a step, and where the time of a D-SINK step goes."""
    measurements = measurements_of(content)
    timed = {name: entry for name, entry in measurements.items() if "rows" in entry}
    profiles = {name.partition(":")[0]: entry["shares"] for name, entry in measurements.items() if "shares" in entry}
    found = []
    if timed:
        ways = list(next(iter(timed.values()))["rows"])
        lines = [
            (
                way,
                *(
                    f"{milliseconds(entry['rows'][way]['median_ms'])} {_spread(entry['rows'][way])}"
                    for entry in timed.values()
                ),
            )
            for way in ways
        ]
        for name in next(iter(timed.values()))["ratios"]:
            lines.append((name, *(times(entry["ratios"][name]["by_median"]) for entry in timed.values())))
        sweeps = [f"{name.partition(':')[0]}: {entry['sweeps']}" for name, entry in timed.items() if "sweeps" in entry]
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


def training_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench training`: seconds and accuracy by way, over the seeds."""
    seeds = list(measurements_of(content).values())
    lines = []
    for way in seeds[0]["rows"]:
        rows = [entry["rows"][way] for entry in seeds]
        columns = [[row[key] for row in rows] for key in ("total_seconds", "teacher_seconds", "student_seconds")]
        columns.append([statistics.median(row["epoch_seconds"]) for row in rows])
        columns.append([row["accuracy"] for row in rows])
        lines.append((way, *(_median_and_range(column) for column in columns)))
    for name in seeds[0]["ratios"]:
        ratios = [entry["ratios"][name] for entry in seeds]
        lines.append((name, _median_and_range(ratios), "", "", "", ""))
    headings = ("way", "total s", "teachers s", "student s", "student epoch s", "test accuracy %")
    model, epochs = content["settings"]["model"], content["settings"]["common"]["epochs"]
    notes = [
        f"Median [smallest, largest] over {len(seeds)} seed(s); {model}, {epochs} epochs of each network.",
        conditions(content),
    ]
    return [Table("Two teachers and a student", headings, lines, notes)]


def _median_and_range(values: Sequence[float]) -> str:
    if len(values) == 1:
        return milliseconds(values[0])
    return f"{milliseconds(statistics.median(values))} [{milliseconds(min(values))}, {milliseconds(max(values))}]"


def adsa_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench adsa`: seconds, memory and the tau that was found, by way."""
    measurements = measurements_of(content)
    lines: list[tuple[str, ...]] = []
    for name, entry in measurements.items():
        for way, row in entry["rows"].items():
            ratio = entry["ratios"].get(way, {}).get("by_median")
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


def loss_tables(content: Mapping[str, Any]) -> list[Table]:
    """Tables of `lt-bench loss`: milliseconds and ratios by way, and the error of the gradient."""
    measurements = measurements_of(content)
    lines = []
    for name in next(iter(measurements.values()))["rows"]:
        rows = [entry["rows"].get(name, {}) for entry in measurements.values()]
        lines.append((name, *(milliseconds(row.get("median_ms")) for row in rows)))
        if not name.startswith("ours"):
            ratios = [entry["ratios"].get(name, {}) for entry in measurements.values()]
            lines.append((f"{name} / ours", *(times(ratio.get("by_median")) for ratio in ratios)))
    errors = [max(row["gradient_error"] for row in entry["rows"].values()) for entry in measurements.values()]
    lines.append(("largest error of a gradient entry", *(f"{error:.0e}" for error in errors)))
    notes = [
        "Milliseconds, median, forward and backward; total variation 1e-3, 100 sweeps at most.",
        conditions(content),
    ]
    return [Table("From predictions to the gradient", ("way", *measurements), lines, notes)]
