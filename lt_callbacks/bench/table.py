"""A table whose entries are text, for the terminal and for Markdown alike, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table whose entries are text.

    Attributes:
        title: What it shows.
        headings: Of the columns; the first column is aligned to the left.
        rows: Of as many entries as there are headings.
        notes: Sentences below it.
    """

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


def markdown(table: Table) -> str:
    """A table in Markdown, without its title."""
    lines = [
        f"| {' | '.join(table.headings)} |",
        f"| :--- |{' ---: |' * (len(table.headings) - 1)}",
        *(f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in table.rows),
    ]
    return "\n".join([*lines, *(["", *table.notes] if table.notes else [])])


def conditions(content: Mapping[str, Any]) -> str:
    """One sentence on the machine, the threads and the versions that a document was measured with."""
    machine, settings = content["hardware"], content["settings"]
    where = machine["gpus"][0] if settings.get("device") == "cuda" and machine["gpus"] else machine["cpu"]
    threads = f"{machine['threads']} thread" + ("s" if machine["threads"] > 1 else "")
    shown = [f"{name} {version}" for name, version in content["versions"].items() if version]
    lacking = f" Not installed: {', '.join(content['missing'])}." if content["missing"] else ""
    return f"{where}, {threads} of {machine['num_cores']} cores; {', '.join(shown)}.{lacking}"


def milliseconds(value: float | None) -> str:
    """A time or a size as text with three digits; "-" where there is none."""
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def times(value: float | None) -> str:
    """A ratio of two times as text; below 1 the other one is faster."""
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
