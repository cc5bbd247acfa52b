"""Rows and reports as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from lt_callbacks.evaluation.comparison.summary import TableRow
from lt_callbacks.evaluation.pages.method_table import method_table
from lt_callbacks.evaluation.pages.report_blocks import (
    Block,
    Code,
    Facts,
    Paragraph,
    Picture,
    Section,
    Table,
    TableCell,
)

# Marks that could make something else of a text. A run's table is read as it is written, too, in a README: there the
# brackets of intervals stay bare, and only what would make a link of them does not.
_MARKS = ("\\", "|", "*", "_", "`", "[", "]", "#")
_FEW_MARKS = ("\\", "|", "*", "_", "`", "](", "][")


def markdown_table(rows: Sequence[TableRow]) -> str:
    """The rows as a Markdown table, followed by one paragraph that says what the numbers are; ends with a newline."""
    return _table(method_table(rows), marks=_FEW_MARKS) + "\n"


def markdown_page(*, title: str, summary: str, sections: Sequence[Section]) -> str:
    """A report as Markdown; pictures are linked as ``figures/NAME.png``.

    Args:
        title: First heading.
        summary: One sentence below it.
        sections: In the order shown.
    """
    parts = [f"# {escaped(title)}", escaped(summary)]
    for section in sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        caption = f"\n\n{escaped(block.caption)}" if block.caption else ""
        return f"![{escaped(block.title)}](figures/{block.name}.png){caption}"
    if isinstance(block, Paragraph):
        items = "\n".join(f"- {escaped(item)}" for item in block.items)
        return "\n\n".join(part for part in (escaped(block.text), items) if part)
    if isinstance(block, Code):
        fence = "```"
        while fence in block.text:
            fence += "`"
        return f"{fence}\n{block.text}\n{fence}"
    return _facts(block)


def _table(table: Table, *, marks: Sequence[str] = _MARKS) -> str:
    rule = ["---:" if position in table.numbers else ":---" for position in range(len(table.headings))]
    head = [_line([escaped(heading, marks) for heading in table.headings]), _line(rule)]
    parts = []
    for name, rows in table.groups:
        lines = [*head, *(_line([_cell(cell, marks) for cell in row]) for row in rows)]
        parts += [f"### {escaped(name, marks)}"] if name else []
        parts.append("\n".join(lines))
    parts += [escaped(table.note, marks)] if table.note else []
    return "\n\n".join(parts)


def _cell(cell: TableCell, marks: Sequence[str]) -> str:
    text = escaped(cell.text, marks)
    if cell.link is not None:
        text = f"[{text}](<{cell.link.replace('<', '%3C').replace('>', '%3E')}>)"
    return f"**{text}**" if cell.is_best else text


def _facts(facts: Facts) -> str:
    lines = [
        _line([escaped(".".join(part for part in (group, name) if part)), escaped(value)])
        for group, entries in facts.groups.items()
        for name, value in entries.items()
    ]
    return "\n".join([_line(["Setting", "Value"]), _line([":---", ":---"]), *lines]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escaped(text: str, marks: Sequence[str] = _MARKS) -> str:
    """``text`` on one line, so that Markdown shows it as it is: no HTML, and none of ``marks``, means anything."""
    for mark in marks:
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
