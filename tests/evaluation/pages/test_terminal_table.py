from __future__ import annotations

import io

import pytest
from method_rows import method_rows
from rich.console import Console

from lt_callbacks.evaluation import rich_table
from lt_callbacks.evaluation.pages.report_blocks import TableCell
from lt_callbacks.evaluation.pages.terminal_table import terminal_table


@pytest.mark.parametrize("width", [80, 120])
def test_rich_table_shows_every_number_whole_and_names_literally(width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(rich_table(method_rows(), title="Digits"))
    text = console.file.getvalue()
    for shown in ("Digits", "52.0±2.0", "73.0±2.6", "+21.0", "[+18.5, +23.5]", "reference", "[x]", "91.0±1.0"):
        assert shown in text


def test_rich_table_marks_the_best_only():
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(rich_table(method_rows()))
    text = console.file.getvalue()
    assert "\x1b[1m73.0±2.6\x1b[0m" in text
    assert "\x1b[1m52.0±2.0" not in text


def test_the_first_column_is_folded_and_numbers_are_not():
    console = Console(width=24, file=io.StringIO())
    console.print(
        terminal_table(["Setting", "All"], [[TableCell(text="noise.ratio=0.4 [red]"), TableCell(text="50.0 ± 1.0")]])
    )
    text = console.file.getvalue()
    assert "50.0±1.0" in text
    # the rest is the first column, over several lines
    assert "".join(text.partition("─")[2].replace("50.0±1.0", "").split()).strip("─") == "noise.ratio=0.4[red]"
