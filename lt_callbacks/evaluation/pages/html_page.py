from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from lt_callbacks.evaluation.pages.report_blocks import Block, Code, Facts, Paragraph, Picture, Section, Table

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE, _FOLDER = "lt_callbacks.evaluation.pages", "templates"

_TEMPLATES = {Table: "table", Picture: "picture", Paragraph: "paragraph", Code: "code", Facts: "facts"}

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
    style, script = _text("page.css"), _text("page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=title,
            summary=summary,
            sections=list(zip(_addresses(sections), sections, strict=True)),
            style=style,
            script=script,
            script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(_PACKAGE, _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(template=_template, base64=_base64, shown_size=_shown_size)
    return environment


@cache
def _text(name: str) -> str:
    return (resources.files(_PACKAGE) / _FOLDER / name).read_text(encoding="utf-8")


def _addresses(sections: Sequence[Section]) -> list[str]:
    """One address a section, unique on the page."""
    names: list[str] = []
    for section in sections:
        plain = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        names.append(plain if plain not in names else f"{plain}-{len(names)}")
    return names


def _template(block: Block) -> str:
    return f"{_TEMPLATES[type(block)]}.html.jinja"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _shown_size(picture: Picture) -> tuple[int, int]:
    """Width and height on the page, in pixels."""
    width, height = (round(pixels / _DENSITY) for pixels in struct.unpack(">II", picture.png[16:24]))
    return width, height
