from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lt_callbacks.evaluation.comparison import number_text
from lt_callbacks.evaluation.comparison.table import SHARES, TableRow

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = {
    "accuracy": "All",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "wrong_labels_fitted": "Wrong labels fitted",
}


def markdown_table(rows: Sequence[TableRow]) -> str:
    """The table as Markdown, followed by one paragraph that says what the numbers are; ends with a newline."""
    headings, body = _cells(rows)
    best = [_best_columns(row, rows) for row in rows]
    lines = [_markdown_line(headings), _markdown_line([":---", *["---:"] * (len(headings) - 1)])]
    for cells, marked in zip(body, best, strict=True):
        cells = [_escape(cell) for cell in cells]
        lines.append(_markdown_line([f"**{cell}**" if i in marked else cell for i, cell in enumerate(cells)]))
    return "\n".join([*lines, "", _escape(table_note(rows))]) + "\n"


def csv_table(rows: Sequence[TableRow]) -> str:
    """All numbers in full precision as CSV, one line a method; empty where there is no value.

    Shares are in percent, differences in percentage points; ``best_epoch_*`` is chosen by looking at the test set.
    """
    names = {name: "best_epoch_accuracy" if name == "best_accuracy" else name for name in SHARES}
    headings = ["method", "num_seeds", *(f"{names[share]}_{part}" for share in SHARES for part in ("mean", "sd"))]
    headings += [f"difference_{part}" for part in ("mean", "sd", "low", "high", "num_pairs")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    for row in rows:
        cells: list[object] = [row.method, row.num_seeds]
        for share in SHARES:
            spread = row.shares[share]
            cells += [spread.mean, spread.sd] if spread else [None, None]
        if row.difference:
            low, high = row.difference.interval or (None, None)
            cells += [row.difference.mean, row.difference.sd, low, high, row.difference.num_pairs]
        else:
            cells += [None] * 5
        writer.writerow(cells)
    return text.getvalue()


def rich_table(rows: Sequence[TableRow], *, title: str | None = None) -> Table:
    """The table for a terminal; ``rich.print`` shows it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    headings, body = _cells(rows)
    note = f"n: seeds. {table_note(rows)}"
    table = Table(title=title, caption=note, box=SIMPLE_HEAD, padding=0, caption_justify="left", title_justify="left")
    # wide enough for the longest word of a usual name
    table.add_column(headings[0], overflow="fold", min_width=12)
    table.add_column("n", justify="right", no_wrap=True)
    for heading in headings[2:]:
        # folded by hand to fit 80 columns: a terminal that folds or cuts on its own would split numbers
        table.add_column(Text(heading.replace(" ", "\n", 2)), justify="right", no_wrap=True)
    for row, cells in zip(rows, body, strict=True):
        marked = _best_columns(row, rows)
        folded = [cells[0], *(cell.replace(" ± ", "±").replace(" [", "\n[").replace(" (", "\n(") for cell in cells[1:])]
        # Text and not str: a method called "D-SINK [rows only]" is not markup
        table.add_row(*(Text(cell, style="bold" if i in marked else "") for i, cell in enumerate(folded)))
    return table


def table_note(rows: Sequence[TableRow]) -> str:
    """What the numbers in the table are, in a few sentences; only what applies to these rows."""
    sentences = ["Percent of the test set after the last epoch, mean ± sd over seeds."]
    if any(row.shares["wrong_labels_fitted"] for row in rows):
        sentences.append(
            "Wrong labels fitted: percent of the wrongly labelled training samples predicted as their given label."
        )
    reference = _reference(rows)
    if reference is not None:
        sentences.append(
            f"Difference to {reference}: percentage points of All, paired by seed, with 95 % Student-t interval."
        )
    if any(row.best for row in rows):
        sentences.append("Bold: the paired 95 % interval against every other method lies above 0.")
    return " ".join(sentences)


def _cells(rows: Sequence[TableRow]) -> tuple[list[str], list[list[str]]]:
    columns = _columns(rows)
    reference = _reference(rows)
    headings = ["Method", "Seeds", *(_HEADINGS[name] for name in columns)]
    if reference is not None:
        headings.append(f"Difference to {reference}")
    body = []
    for row in rows:
        cells = [row.method, str(row.num_seeds), *(number_text.spread(row.shares[name]) for name in columns)]
        body.append([*cells, _difference(row)] if reference is not None else cells)
    return headings, body


def _columns(rows: Sequence[TableRow]) -> list[str]:
    return [name for name in _HEADINGS if any(row.shares[name] for row in rows)]


def _best_columns(row: TableRow, rows: Sequence[TableRow]) -> set[int]:
    return {2 + position for position, name in enumerate(_columns(rows)) if name in row.best}


def _reference(rows: Sequence[TableRow]) -> str | None:
    return next((row.method for row in rows if row.is_reference), None)


def _difference(row: TableRow) -> str:
    if row.difference is None:
        return "reference" if row.is_reference else number_text.NOTHING
    return number_text.difference(row.difference, num_seeds=row.num_seeds)


def _escape(text: str) -> str:
    for mark in "\\|*_":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace("\n", " ")


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
