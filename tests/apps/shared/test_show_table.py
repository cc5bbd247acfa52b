from __future__ import annotations

import io

from made_results import method_result
from rich.console import Console

from lt_callbacks.apps.shared.show_table import show_table
from lt_callbacks.evaluation import summarise


def shown(results, **meanings):
    console = Console(width=80, file=io.StringIO())
    show_table(console, summarise(results, reference="CE"), meanings=meanings)
    return console.file.getvalue()


def test_below_the_table_stand_the_conclusion_and_what_each_row_is():
    gains = [(0, 2.0), (1, 3.0), (2, 4.0)]
    results = [method_result("CE", seed, 50.0) for seed, _ in gains]
    results += [method_result("D [x]", seed, 50.0 + gain) for seed, gain in gains]
    text = shown(results, CE="no teacher", other="of another table", **{"D [x]": "with [b]two[/b] teachers"})
    conclusion = text.index("D [x] is better than CE by 3.0 points (95 % interval 0.5 to 5.5, 3 seeds).")
    legend = text.index("D [x]  with [b]two[/b] teachers")
    assert text.index("Student-t") < conclusion < legend
    assert "CE     no teacher" in text
    assert "another table" not in text


def test_one_row_has_no_conclusion():
    assert "shown" not in shown([method_result("CE")], CE="no teacher")
