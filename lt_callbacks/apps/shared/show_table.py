from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lt_callbacks.evaluation import TableRow, conclusion, rich_table

if TYPE_CHECKING:
    from rich.console import Console


def show_table(console: Console, rows: Sequence[TableRow], *, meanings: Mapping[str, str]) -> None:
    """Print the table of a run, what it shows, and what its rows are.

    Args:
        console: Where to.
        rows: Of the table.
        meanings: Title of a row -> what it is.
    """
    from rich.table import Table
    from rich.text import Text

    console.print(rich_table(rows))
    told = conclusion(rows)
    console.print()
    if told:
        # Text and not str: a method called "D-SINK [rows only]" is not markup
        console.print(Text(told))
        console.print()
    legend = Table.grid(padding=(0, 2))
    for row in rows:
        if row.method in meanings:
            legend.add_row(Text(row.method), Text(meanings[row.method]))
    console.print(legend)
    console.print()
