"""Where the results of a report come from: settings, commands, machines, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lt_callbacks.apps.report.material import Material, relative
from lt_callbacks.evaluation import Comparison
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.number_text import NOTHING, counted
from lt_callbacks.evaluation.pages.report_blocks import Block, Code, Facts, Paragraph, Table, TableCell


def about_settings(found: Comparison) -> list[Block]:
    """Blocks about the settings: the axes, what follows them, and what all runs share."""
    blocks: list[Block] = []
    if found.axes:
        axes = {axis: ", ".join(setting_axes.text(value) for value in found.values(axis)) for axis in found.axes}
        blocks.append(Facts(groups={"Compared": axes}))
    if found.follows:
        blocks.append(Paragraph(items=tuple(_following(key, found) for key in found.follows)))
    groups: dict[str, dict[str, str]] = {}
    for key, value in found.common.items():
        group, _, name = key.partition(".")
        groups.setdefault(group if name else "run", {})[name or group] = setting_axes.text(value)
    blocks.append(Facts(groups=groups))
    return blocks


def about_origin(material: Material) -> list[Block]:
    """Blocks about which commands made the results, when and on what machine, and in which files they lie."""
    documents = material.documents.values()
    runs = [run for document in documents for run in document.runs]
    commands = list(dict.fromkeys(run["command"] for run in runs))
    dates = sorted(f"{run['date'][:16].replace('T', ' ')} UTC" for run in runs)
    machines = dict.fromkeys(_machine(run["hardware"]) for run in runs)
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version) for run in runs
    )
    facts = {"Dates": " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else NOTHING}
    facts |= _numbered("Machine", list(machines)) | _numbered("Versions", list(versions))
    notes = tuple(dict.fromkeys(document.notes for document in documents if document.notes))
    told: list[Block] = [Paragraph(text="Notes of the files:", items=notes)] if notes else []
    return [Facts(groups={"": facts}), *told, Code(text="\n".join(commands)), _files(material)]


def _following(key: str, found: Comparison) -> str:
    follower = found.follows[key]
    by_value: dict[str, list[str]] = {}
    for value, own in follower.values:
        by_value.setdefault(setting_axes.text(own), []).append(setting_axes.text(value))
    told = "; ".join(f"{own} at {', '.join(values)}" for own, values in by_value.items())
    return f"{key} follows {follower.axis}: {told}."


def _files(material: Material) -> Table:
    rows = [
        [
            TableCell(text=name, link=relative(material.base / name, material.output)),
            TableCell(text=str(len(document.results)), sort=len(document.results)),
            TableCell(text=", ".join(map(str, document.seeds)) or NOTHING),
        ]
        for name, document in material.documents.items()
    ]
    return Table(
        headings=("File", "Results", "Seeds"),
        groups=[("", rows)],
        numbers=frozenset({1}),
        texts=frozenset({0}),
        is_list=True,
    )


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = hardware.get("gpus") or []
    parts = [f"{len(gpus)} × {gpus[0]}"] if len(set(gpus)) == 1 else list(gpus)
    parts += [f"{hardware.get('cpu')}, {counted(hardware.get('num_cores') or 0, 'core')}", str(hardware.get("system"))]
    return ", ".join(parts)


def _numbered(name: str, values: Sequence[str]) -> dict[str, str]:
    if len(values) == 1:
        return {name: values[0]}
    return {f"{name} {number}": value for number, value in enumerate(values, start=1)}
