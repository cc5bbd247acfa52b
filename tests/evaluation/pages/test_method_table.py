from __future__ import annotations

import pytest
from made_results import method_result
from method_rows import method_rows

from lt_callbacks.evaluation import summarise, table_note
from lt_callbacks.evaluation.pages.method_table import method_table


def test_every_writer_gets_the_same_cells():
    table = method_table(method_rows())
    assert table.headings == ("Method", "Seeds", "All", "Many", "Medium", "Wrong labels fitted", "Difference to CE")
    ((title, (plain, ours)),) = table.groups
    assert (title, table.numbers) == ("", {1, 2, 3, 4, 5, 6})
    assert [cell.text for cell in plain][-2:] == ["91.0 ± 1.0", "reference"]
    assert ours[0].text == "D-SINK | a_b [x]"
    assert [cell.is_best for cell in ours] == [False, False, True, False, False, False, False]
    assert (ours[2].sort, ours[6].sort, ours[6].tone) == (pytest.approx(73.0), pytest.approx(21.0), "good")
    assert table.note == table_note(method_rows())


def test_without_a_reference_there_is_no_difference():
    table = method_table(summarise([method_result("CE")], reference=None))
    assert (table.headings[-1], table.numbers) == ("Few", {1, 2, 3, 4, 5})
    assert "Difference" not in table.note
