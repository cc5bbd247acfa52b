"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lt_callbacks.evaluation.comparison.summary import TableRow
from lt_callbacks.evaluation.pages.method_table import method_table
from lt_callbacks.evaluation.pages.report_blocks import TableCell

if TYPE_CHECKING:
    from rich.table import Table


def rich_table(rows: Sequence[TableRow], *, title: str | None = None) -> Table:
    """The table of a run for a terminal; ``rich.print`` shows it."""
    block = method_table(rows)
    # folded by hand to fit 80 columns: a terminal that folds or cuts on its own would split numbers
    headings = [block.headings[0], "n", *(heading.replace(" ", "\n", 2) for heading in block.headings[2:])]
    ((_, lines),) = block.groups
    # wide enough for the longest word of a usual name
    table = terminal_table(headings, lines, first_width=12)
    table.title, table.caption = title, f"n: seeds. {block.note}"
    table.title_justify = table.caption_justify = "left"
    return table


def terminal_table(
    headings: Sequence[str], lines: Sequence[Sequence[TableCell]], *, first_width: int | None = None
) -> Table:
    """A plain table whose first column is text, which is folded, and whose other columns are numbers, which are not.

    Args:
        headings: Of the columns.
        lines: One cell a column; the best are bold.
        first_width: Characters that the first column has at least.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=0)
    table.add_column(Text(headings[0]), overflow="fold", min_width=first_width)
    for heading in headings[1:]:
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for line in lines:
        folded = [line[0].text, *(_folded(cell.text) for cell in line[1:])]
        # Text and not str: a method called "D-SINK [rows only]" is not markup
        table.add_row(
            *(Text(text, style="bold" if cell.is_best else "") for text, cell in zip(folded, line, strict=True))
        )
    return table


def _folded(number: str) -> str:
    """A mean over its interval, so that a column is not wider than it must be."""
    return number.replace(" ± ", "±").replace(" [", "\n[").replace(" (", "\n(")
