from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_callbacks import _files
from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison.conclusion import conclusion
from lt_callbacks.evaluation.comparison.summary import TableRow
from lt_callbacks.evaluation.figures.save_figure import save_figure
from lt_callbacks.evaluation.pages.markdown_page import escaped, markdown_table
from lt_callbacks.evaluation.records.method_result import json_object

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_run_report(
    folder: str | os.PathLike[str],
    *,
    title: str,
    rows: Sequence[TableRow],
    settings: Mapping[str, Any],
    figures: Mapping[str, Figure],
    meanings: Mapping[str, str] | None = None,
) -> Path:
    """Write ``report.md`` with table, conclusion, figures and settings; its links are relative, so it can be moved.

    Args:
        folder: Where ``report.md`` and ``figures/NAME.png`` go; made if missing.
        title: First heading.
        rows: Of the table, as `summarise` makes them.
        settings: Shown as JSON.
        figures: Name -> figure, in the order shown. A name is lower-case letters, digits, `-` and `_`, such as
            ``class_counts``; it becomes file name and heading.
        meanings: Method -> what it is, listed below the table.

    Returns:
        Path of ``report.md``.

    Raises:
        ValueError: A figure's name cannot be a file name everywhere.
        TypeError: ``settings`` hold what JSON cannot.
    """
    target = as_path("folder", folder) / "report.md"
    for name in figures:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            rule = "have names of lower-case letters, digits, '-' and '_'"
            way_out = "Put other text in the title of the figure."
            raise ArgumentValueError("figures", rule=rule, got=repr(name), way_out=way_out)
    parts = [f"# {escaped(title, marks=())}", "## Results", markdown_table(rows).rstrip()]
    told = conclusion(rows)
    parts += [escaped(told)] if told else []
    named = meanings or {}
    legend = [f"- {escaped(row.method)}: {escaped(named[row.method])}" for row in rows if row.method in named]
    parts += ["\n".join(legend)] if legend else []
    shown = json.dumps(json_object("settings", settings), indent=2, ensure_ascii=False)
    if figures:
        parts.append("## Figures")
    for name, figure in figures.items():
        save_figure(figure, target.parent / "figures" / f"{name}.png")
        heading = re.sub("[_-]+", " ", name).strip().capitalize()
        parts += [f"### {heading}", f"![{heading}](figures/{name}.png)"]
    parts += ["## Settings", f"```json\n{shown}\n```"]
    return _files.write_bytes(target, ("\n\n".join(parts) + "\n").encode())
