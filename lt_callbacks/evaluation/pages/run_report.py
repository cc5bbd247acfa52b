from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_callbacks import _files
from lt_callbacks.evaluation.comparison.table import summarise
from lt_callbacks.evaluation.figures.save_figure import save_figure
from lt_callbacks.evaluation.pages.table_formats import markdown_table
from lt_callbacks.evaluation.records.results import CellResult, json_object

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_run_report(
    folder: str | os.PathLike[str],
    *,
    title: str,
    results: Sequence[CellResult],
    reference: str | None,
    settings: Mapping[str, Any],
    figures: Mapping[str, Figure],
) -> Path:
    """Write ``report.md`` with table, figures and settings; the folder can be moved, since all links are relative.

    Args:
        folder: Where ``report.md`` and ``figures/NAME.png`` go; made if missing.
        title: First heading.
        results: Runs of one cell.
        reference: Method that the others are compared with, or ``None``.
        settings: Shown as JSON.
        figures: Name -> figure, in the order shown. A name is lower-case letters, digits, `-` and `_`, such as
            ``class_counts``; it becomes file name and heading.

    Returns:
        Path of ``report.md``.

    Raises:
        ValueError: A figure's name cannot be a file name everywhere, or what ``summarise`` refuses.
    """
    for name in figures:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise ValueError(
                f"`figures` names must be lower-case letters, digits, '-' and '_'; got {name!r}. "
                "Put other text in the title of the figure."
            )
    target = Path(folder) / "report.md"
    parts = [f"# {title}", "## Results", markdown_table(summarise(results, reference=reference)).rstrip()]
    shown = json.dumps(json_object("settings", settings), indent=2, ensure_ascii=False)
    if figures:
        parts.append("## Figures")
    for name, figure in figures.items():
        save_figure(figure, target.parent / "figures" / f"{name}.png")
        heading = re.sub("[_-]+", " ", name).strip().capitalize()
        parts += [f"### {heading}", f"![{heading}](figures/{name}.png)"]
    parts += ["## Settings", f"```json\n{shown}\n```"]
    return _files.write_bytes(target, ("\n\n".join(parts) + "\n").encode())
