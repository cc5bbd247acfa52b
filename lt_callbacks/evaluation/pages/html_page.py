from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Sequence
from html import escape

from lt_callbacks.evaluation.pages.html_look import SCRIPT, STYLE
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

# pictures are drawn with two pixels for each of a usual screen
_DENSITY = 2


def html_page(*, title: str, summary: str, sections: Sequence[Section]) -> str:
    """A report as one HTML file that needs nothing else: no network, no other file, no script to be read.

    Every text is escaped, and the page forbids its own browser everything but what it holds: nothing that a class name
    or an override says can run or load anything.

    Args:
        title: Of the page.
        summary: One sentence below it.
        sections: With a table of contents.
    """
    names = _names(sections)
    contents = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>' for name, section in zip(names, sections, strict=True)
    )
    body = "".join(_section(name, section) for name, section in zip(names, sections, strict=True))
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="summary">{escape(summary)}</p></header>\n'
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n'
        f"<main>{body}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _names(sections: Sequence[Section]) -> list[str]:
    """One address a section, unique on the page."""
    names: list[str] = []
    for section in sections:
        plain = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        names.append(plain if plain not in names else f"{plain}-{len(names)}")
    return names


def _section(name: str, section: Section) -> str:
    blocks = "".join(_block(block) for block in section.blocks)
    return f'<section id="{name}"><h2>{escape(section.title)}</h2>{blocks}</section>\n'


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        return _picture(block)
    if isinstance(block, Paragraph):
        text = f"<p>{escape(block.text)}</p>" if block.text else ""
        items = "".join(f"<li>{escape(item)}</li>" for item in block.items)
        return text + (f"<ul>{items}</ul>" if items else "")
    if isinstance(block, Code):
        return f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
    return _facts(block)


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_classes(position, table)}>{escape(heading)}</th>'
        for position, heading in enumerate(table.headings)
    )
    bodies = []
    for name, rows in table.groups:
        title = f'<tr class="group"><th scope="rowgroup" colspan="{len(table.headings)}">'
        title = f"{title}<span>{escape(name)}</span></th></tr>" if name else ""
        lines = "".join(
            "<tr>" + "".join(_cell(cell, position, table) for position, cell in enumerate(row)) + "</tr>"
            for row in rows
        )
        bodies.append(f"<tbody>{title}{lines}</tbody>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    kind = "scroll list" if table.is_list else "scroll"
    # a region that scrolls must be reachable by keyboard
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{escape(table.headings[0])}">'
        f"<table><thead><tr>{heads}</tr></thead>{''.join(bodies)}</table></div>{note}"
    )


def _cell(cell: TableCell, position: int, table: Table) -> str:
    text = escape(cell.text)
    if cell.link is not None:
        text = f'<a href="{escape(cell.link)}">{text}</a>'
    if cell.is_best:
        text = f"<strong>{text}</strong>"
    sort = "" if cell.sort is None else f' data-sort="{escape(str(cell.sort))}"'
    tag = 'th scope="row"' if position == 0 else "td"
    return f"<{tag}{_classes(position, table, cell.tone)}{sort}>{text}</{tag[:2]}>"


def _classes(position: int, table: Table, tone: str = "") -> str:
    kinds = ("n" if position in table.numbers else "", "long" if position in table.texts else "", escape(tone))
    classes = " ".join(kind for kind in kinds if kind)
    return f' class="{classes}"' if classes else ""


def _picture(picture: Picture) -> str:
    width, height = (round(pixels / _DENSITY) for pixels in struct.unpack(">II", picture.png[16:24]))
    content = base64.b64encode(picture.png).decode()
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return (
        '<figure><div class="paper" tabindex="0">'
        f'<img src="data:image/png;base64,{content}" width="{width}" height="{height}" '
        # on a narrow screen a wide figure scrolls, instead of shrinking until nobody can read it
        f'style="min-width: min(48rem, {width}px)" alt="{escape(picture.title)}">'
        f"</div>{caption}</figure>"
    )


def _facts(facts: Facts) -> str:
    groups = []
    for name, entries in facts.groups.items():
        lines = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in entries.items())
        groups.append(f"<section><h3>{escape(name)}</h3><dl>{lines}</dl></section>" if name else f"<dl>{lines}</dl>")
    kind = "facts" if any(facts.groups) else "facts wide"
    return f'<div class="{kind}">{"".join(groups)}</div>'
