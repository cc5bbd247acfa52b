"""The look that all figures share. Set on each artist: matplotlib's global settings are the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lt_callbacks.evaluation.figures import fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision deficiency can tell apart. Its yellow is left out: on
# white paper it vanishes. Marker and line style differ too, so that a grey print can be read.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
GREY, PALE = "#8C8C8C", "#D9D9D9"
_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_LINE_STYLES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))

TITLE_SIZE, LABEL_SIZE, TICK_SIZE, SMALL_SIZE = 10.0, 9.0, 8.0, 6.5


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of the given size in inches that belongs to no window and to no pyplot state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from lt_callbacks.evaluation.figures.readable_figure import ReadableFigure

    figure = ReadableFigure(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def method_style(position: int) -> dict[str, Any]:
    """Colour, marker and line style of the method at this position; seven colours by eight markers differ."""
    return {
        "color": _COLOURS[position % len(_COLOURS)],
        "marker": _MARKERS[position % len(_MARKERS)],
        "linestyle": _LINE_STYLES[(position + position // len(_COLOURS)) % len(_LINE_STYLES)],
    }


def legend_rows(labels: Sequence[str], width: float) -> int:
    """Rows of a legend with these labels under a figure of this width in inches."""
    per_row = max(1, int(width / (0.6 + 0.07 * max(map(fonts.width, labels)))))
    return -(-len(labels) // per_row)


def add_legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put a legend under all axes, in as few rows as fit."""
    num_rows = legend_rows(labels, figure.get_figwidth())
    columns = -(-len(labels) // num_rows)
    shown = [fonts.plain(label) for label in labels]
    figure.legend(handles, shown, fontsize=TICK_SIZE, frameon=False, loc="outside lower center", ncols=columns)


def add_note(axes: Axes, text: str) -> None:
    """Write a quiet line above the right end of the axes that says what is drawn."""
    axes.set_title(text, fontsize=TICK_SIZE, loc="right", color="#444444")


def finish_axes(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "", grid: str | None = "y") -> None:
    """Give axes their labels, sizes and a quiet frame."""
    axes.set_facecolor("white")
    axes.set_xlabel(xlabel, fontsize=LABEL_SIZE)
    axes.set_ylabel(ylabel, fontsize=LABEL_SIZE)
    axes.set_title(title, fontsize=TITLE_SIZE, loc="left")
    axes.tick_params(labelsize=TICK_SIZE, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        axes.grid(visible=True, axis=grid, color="#E5E5E5", linewidth=0.6)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
