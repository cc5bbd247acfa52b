from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lt_callbacks.bench.document import measurements_of
from lt_callbacks.bench.figures import write_figures
from lt_callbacks.bench.table import Table
from lt_callbacks.bench.tables import tables_of


def show(content: Mapping[str, Any], folder: Path) -> None:
    """Print a document's tables on the terminal, and draw its figures into ``folder``."""
    if not measurements_of(content):
        sys.stdout.write("Nothing was measured.\n")
        return
    for table in tables_of(content):
        _print(table)
    for path in write_figures(content, folder):
        sys.stdout.write(f"{path}\n")


def _print(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=table.title, title_justify="left")
    for position, heading in enumerate(table.headings):
        # Only headings may be broken: half a number or half a name misleads.
        shown.add_column(Text(heading), justify="right" if position else "left", no_wrap=not position)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, Console(width=10_000).measure(shown).maximum))
    console.print(shown)
    for note in table.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
