"""Sections of a report with text that must be escaped in every place that shows some."""

from __future__ import annotations

import io

from lt_callbacks.evaluation.figures.figure_style import new_figure
from lt_callbacks.evaluation.pages.report_blocks import Code, Facts, Paragraph, Picture, Section, Table, TableCell

#: Would run, close a tag, an attribute or a cell, or load something, if any of it were taken literally.
NASTY = "<img src=http://x.invalid/a onerror=alert(1)> & \"q\" 'a' | _b_ `c` </script><script>alert(2)</script>"


def png(width: float = 7.0, height: float = 3.0) -> bytes:
    content = io.BytesIO()
    figure = new_figure(width, height)
    figure.subplots().plot([0, 1], [1, 0])
    figure.savefig(content, format="png", dpi=192)
    return content.getvalue()


def numbers_table(**changes: object) -> Table:
    """Three rows in an order that sorting changes."""
    rows = [
        [TableCell(text=name, sort=place), TableCell(text=text, sort=value, is_best=value == 9.5)]
        for place, (name, text, value) in enumerate((("a", "10.0", 10.0), ("b", "–", None), ("c", "9.5", 9.5)))
    ]
    return Table(**{"headings": ("Setting", "All"), "groups": [("", rows)], "numbers": frozenset({1}), **changes})


def wide_table(num_columns: int = 14) -> Table:
    """Wider than a telephone."""
    rows = [
        [TableCell(text=f"noise.ratio={row}"), *(TableCell(text="61.2 ± 1.3") for _ in range(num_columns))]
        for row in range(3)
    ]
    headings = ("Setting", *(f"method {column}" for column in range(num_columns)))
    return Table(headings=headings, groups=[("one", rows), ("two", rows)], numbers=frozenset(range(1, num_columns + 1)))


def sections(text: str = NASTY) -> list[Section]:
    """One of each block, full of ``text``."""
    row = [TableCell(text=text), TableCell(text=text, sort=text, tone="good", link=f"logs/{text}")]
    table = Table(headings=(text, text), groups=[(text, [row])], note=text, texts=frozenset({1}), is_list=True)
    return [
        Section(title=text, blocks=[table, wide_table(), numbers_table()]),
        Section(title=text, blocks=[Picture(name="a", png=png(), title=text, caption=text)]),
        Section(
            title="Rest",
            blocks=[
                Paragraph(text=text, items=(text,)),
                Code(text=text),
                Facts(groups={text: {text: text}, "": {"k": text}}),
            ],
        ),
    ]
