from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lt_callbacks import _checks, _files
from lt_callbacks._errors import ArgumentValueError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float = 200) -> Path:
    """Write the figure as PNG; the file is whole or absent.

    Args:
        figure: Any matplotlib figure.
        path: Ends in `.png`; missing folders are made.
        dpi: Pixels an inch.

    Returns:
        The path written.

    Raises:
        ValueError: Another file name extension.
    """
    dpi = _checks.real("dpi", dpi, above=0)
    target = _checks.as_path("path", path)
    if target.suffix.lower() != ".png":
        way_out = "Call `figure.savefig` for other formats."
        raise ArgumentValueError("path", rule="end in .png", got=repr(target.name), way_out=way_out)
    content = io.BytesIO()
    # without the matplotlib version in the file, equal pictures are equal bytes
    figure.savefig(content, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return _files.write_bytes(target, content.getvalue())
