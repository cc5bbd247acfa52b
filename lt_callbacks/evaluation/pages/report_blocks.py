"""What a report is made of, whether it is shown as a page or as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One cell of a table: its text, and what it is sorted by.

    Attributes:
        text: As shown.
        sort: What the column is sorted by; None: the text.
        is_best: Shown bold.
        tone: ``"good"``, ``"bad"`` or nothing; never the only sign of it.
        link: Relative address of a file, or None.
    """

    text: str
    sort: float | str | None = None
    is_best: bool = False
    tone: str = ""
    link: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a report: rows in one or more groups.

    Attributes:
        headings: Of the columns; the first column names the rows.
        groups: (Title, rows) each; an empty title for the only group.
        numbers: Positions of the columns of numbers, which stand right.
        texts: Positions of the columns of long text, which is folded.
        note: What the numbers are.
        is_list: So long, and so seldom read, that a page shows it in a frame of its own.
    """

    headings: tuple[str, ...]
    groups: Sequence[tuple[str, Sequence[Sequence[TableCell]]]]
    numbers: frozenset[int] = frozenset()
    texts: frozenset[int] = frozenset()
    note: str = ""
    is_list: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of a report, drawn already.

    Attributes:
        name: Of its file, without the extension.
        png: The file's content.
        title: What it shows, for those who cannot see it.
        caption: Below it.
    """

    name: str
    png: bytes
    title: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """A paragraph of text, with a list of short sentences where ``items`` are given."""

    text: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Code:
    """Lines as they are typed in a terminal."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names with values, in groups; a group without a name for a few long ones."""

    groups: Mapping[str, Mapping[str, str]]


Block = Table | Picture | Paragraph | Code | Facts


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block] = field(default_factory=list)
