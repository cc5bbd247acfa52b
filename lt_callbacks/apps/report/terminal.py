"""What `lt-report` says on the terminal: the table of accuracies, what is missing, and where everything is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lt_callbacks.apps.report.glance import summary_of
from lt_callbacks.apps.report.jobs import problems
from lt_callbacks.apps.report.material import Material
from lt_callbacks.evaluation.comparison.conclusion import conclusions
from lt_callbacks.evaluation.pages.report_blocks import Table, TableCell
from lt_callbacks.evaluation.pages.terminal_table import terminal_table

if TYPE_CHECKING:
    from rich.console import Console

_MOST_ROWS = 40


def show(material: Material, table: Table) -> None:
    """Print the summary, the table of accuracies, jobs that are not done, and the places of the files.

    Args:
        material: Of the report.
        table: As `accuracy_table` makes it.
    """
    from rich.console import Console

    console = Console()
    ((_, rows),) = table.groups
    folded = [heading.replace(" / ", " /\n") for heading in table.headings[:1]]
    folded += [heading.replace(" ", "\n") for heading in table.headings[1:]]
    shown = terminal_table(folded, rows[:_MOST_ROWS])
    if Console(width=10_000).measure(shown).maximum > console.width:
        # a terminal that cuts on its own would split numbers
        rows = _one_line_a_method(table)
        shown = terminal_table([folded[0], "Accuracy", "Seeds"], rows[:_MOST_ROWS])
    _say(console, summary_of(material))
    console.print(shown)
    _say(console, table.note)
    for told in conclusions(material.rows):
        _say(console, told)
    if len(rows) > _MOST_ROWS:
        _say(console, f"The first {_MOST_ROWS} of {len(rows)} rows; the report has all.")
    for line in problems(material):
        _say(console, line, style="yellow")
    _say(console, f"Page: {material.output / 'report.html'}")
    _say(console, f"Tables and figures: {material.output}")


def _one_line_a_method(table: Table) -> Sequence[Sequence[TableCell]]:
    ((_, rows),) = table.groups
    return [
        [TableCell(text=f"{row[0].text}  {method}"), cell, row[-1]]
        for row in rows
        for method, cell in zip(table.headings[1:-1], row[1:-1], strict=True)
    ]


def _say(console: Console, text: str, *, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
