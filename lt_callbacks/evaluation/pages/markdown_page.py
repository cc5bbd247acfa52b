from __future__ import annotations

from collections.abc import Sequence

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


def markdown_page(*, title: str, summary: str, sections: Sequence[Section]) -> str:
    """A report as Markdown; pictures are linked as ``figures/NAME.png``."""
    parts = [f"# {_escape(title)}", _escape(summary)]
    for section in sections:
        parts.append(f"## {_escape(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        caption = f"\n\n{_escape(block.caption)}" if block.caption else ""
        return f"![{_escape(block.title)}](figures/{block.name}.png){caption}"
    if isinstance(block, Paragraph):
        items = "\n".join(f"- {_escape(item)}" for item in block.items)
        return "\n\n".join(part for part in (_escape(block.text), items) if part)
    if isinstance(block, Code):
        fence = "```"
        while fence in block.text:
            fence += "`"
        return f"{fence}\n{block.text}\n{fence}"
    return _facts(block)


def _table(table: Table) -> str:
    rule = ["---:" if position in table.numbers else ":---" for position in range(len(table.headings))]
    head = [_line([_escape(heading) for heading in table.headings]), _line(rule)]
    parts = []
    for name, rows in table.groups:
        lines = [*head, *(_line([_cell(cell) for cell in row]) for row in rows)]
        parts += [f"### {_escape(name)}"] if name else []
        parts.append("\n".join(lines))
    parts += [_escape(table.note)] if table.note else []
    return "\n\n".join(parts)


def _cell(cell: TableCell) -> str:
    text = _escape(cell.text)
    if cell.link is not None:
        text = f"[{text}](<{cell.link.replace('<', '%3C').replace('>', '%3E')}>)"
    return f"**{text}**" if cell.is_best else text


def _facts(facts: Facts) -> str:
    lines = [
        _line([_escape(".".join(part for part in (group, name) if part)), _escape(value)])
        for group, entries in facts.groups.items()
        for name, value in entries.items()
    ]
    return "\n".join([_line(["Setting", "Value"]), _line([":---", ":---"]), *lines]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    for mark in "\\|*_`[]#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
