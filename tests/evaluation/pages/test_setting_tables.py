from __future__ import annotations

import pytest
from comparison_documents import METHODS, comparison, document, settings
from made_results import method_result

from lt_callbacks.evaluation import paired_difference, pool_results
from lt_callbacks.evaluation.comparison.setting_rows import summarise_settings
from lt_callbacks.evaluation.pages import setting_tables
from lt_callbacks.evaluation.pages.setting_tables import (
    costs_table,
    gains_table,
)

AGAINST = {"better teacher": ["f_L alone", "f_N alone"], "CE": ["CE"]}


def accuracy_table(found, *, reference):
    return setting_tables.accuracy_table(found, summarise_settings(found, reference=reference))


def shares_table(found, *, reference):
    return setting_tables.shares_table(found, summarise_settings(found, reference=reference))


def texts(rows):
    return [[entry.text for entry in row] for row in rows]


def test_accuracy_has_a_row_a_setting_and_a_column_a_method():
    table = accuracy_table(comparison(), reference="CE")
    assert table.headings == ("noise.ratio / imbalance.factor", *METHODS, "Seeds")
    ((title, rows),) = table.groups
    assert title == ""
    # 0.2 and 10: 71 + seed, and what the methods add
    assert texts(rows)[0] == ["0.2 / 10", "72.0 ± 1.0", "74.0 ± 4.0", "76.0 ± 1.0", "79.0 ± 1.5", "3"]
    assert [row[0].sort for row in rows] == [0, 1, 2, 3]
    assert rows[0][4].sort == pytest.approx(79.0)


def test_the_best_is_marked_only_where_every_paired_interval_lies_above_zero():
    marked = {
        entry.text
        for _, rows in accuracy_table(comparison(methods=("CE", "f_N alone", "D-SINK")), reference=None).groups
        for row in rows
        for entry in row
        if entry.is_best
    }
    assert marked == {"79.0 ± 1.5", "70.0 ± 1.5", "71.0 ± 1.5", "62.0 ± 1.5"}
    # f_L shakes so much that nobody is surely better
    table = accuracy_table(comparison(methods=("CE", "f_L alone", "D-SINK")), reference=None)
    assert not any(entry.is_best for _, rows in table.groups for row in rows for entry in row)
    assert "Bold" not in table.note


def test_what_was_not_run_is_a_dash_and_unequal_seeds_are_told():
    made = {
        "a": document(settings(0.2), [method_result("CE", 0), method_result("CE", 1), method_result("D-SINK", 0)]),
        "b": document(settings(0.4), [method_result("CE")]),
    }
    ((_, rows),) = accuracy_table(pool_results(made), reference=None).groups
    assert texts(rows) == [["0.2", "50.0 ± 0.0", "50.0", "1 to 2"], ["0.4", "50.0", "–", "1"]]


def test_the_note_knows_a_single_seed():
    one, more = (accuracy_table(comparison(seeds=seeds), reference=None).note for seeds in ((0,), (0, 1)))
    assert one == "Percent of the test set after the last epoch, one seed."
    assert "mean ± sd over seeds" in more


def test_a_single_setting_has_a_name_too():
    table = accuracy_table(pool_results({"a": document(settings(), [method_result()])}), reference=None)
    assert (table.headings[0], table.groups[0][1][0][0].text) == ("Setting", "all runs")


def test_shares_have_a_group_a_setting_and_only_the_columns_that_exist():
    made = {
        "a": document(
            settings(0.2),
            [
                method_result("CE", 0, 50),
                method_result("D-SINK", 0, 53),
                method_result("CE", 1, 50),
                method_result("D-SINK", 1, 52),
            ],
        ),
        "b": document(settings(0.4), [method_result("D-SINK", 0, few=None)]),
    }
    table = shares_table(pool_results(made), reference="CE")
    assert table.headings == ("Method", "Seeds", "All", "Many", "Medium", "Few", "Difference to CE", "Time")
    (first, rows), (second, others) = table.groups
    assert (first, second) == ("noise.ratio=0.2", "noise.ratio=0.4")
    low, high = paired_difference({0: 53, 1: 52}, {0: 50, 1: 50}).interval
    assert texts(rows)[0][-2] == "reference"
    assert texts(rows)[1] == [
        "D-SINK",
        "2",
        "52.5 ± 0.7",
        "80.0 ± 0.0",
        "50.0 ± 0.0",
        "20.0 ± 0.0",
        f"+2.5 [−{-low:.1f}, +{high:.1f}]",
        "1.5 s",
    ]
    assert texts(others) == [["D-SINK", "1", "50.0", "80.0", "50.0", "–", "–", "1.5 s"]]
    assert "Wrong labels" not in table.note


def test_gains_name_the_better_teacher_and_say_which_side_of_zero():
    table = gains_table(comparison(), method="D-SINK", against=AGAINST)
    assert table.headings == (
        "noise.ratio / imbalance.factor",
        "D-SINK − better teacher",
        "Better teacher",
        "D-SINK − CE",
    )
    row = table.groups[0][1][0]
    low, high = paired_difference({0: 2.5, 1: 3.0, 2: 3.5}, {0: 0.0, 1: 0.0, 2: 0.0}).interval
    assert texts([row])[0][:3] == ["0.2 / 10", f"+3.0 [+{low:.1f}, +{high:.1f}]", "f_N alone"]
    assert [entry.tone for entry in row] == ["", "good", "", "good"]
    assert table.numbers == {1, 3}
    swapped = gains_table(comparison(), method="CE", against={"D-SINK": ["D-SINK"]})
    assert {row[1].tone for row in swapped.groups[0][1]} == {"bad"}


def test_fewer_pairs_than_seeds_are_told():
    made = {
        "a": document(
            settings(), [method_result("CE", 0), method_result("D-SINK", 0, 60), method_result("D-SINK", 1, 62)]
        )
    }
    table = gains_table(pool_results(made), method="D-SINK", against=AGAINST)
    assert table.groups[0][1][0][3].text == "+10.0 (n = 1)"
    assert "there is no interval" in table.note


def test_without_pairs_there_is_no_table_of_gains():
    assert gains_table(comparison(methods=("CE",)), method="D-SINK", against=AGAINST) is None


def test_costs_are_those_of_all_settings():
    teachers = {"noise": {"seconds": 30.0, "reused": False}, "imbalance": {"seconds": 0.1, "reused": True}}
    made = {
        str(ratio): document(
            settings(ratio),
            [method_result("CE", seconds=seconds), method_result("D-SINK", seconds=90, extra={"teachers": teachers})],
        )
        for ratio, seconds in ((0.2, 2.0), (0.4, 4.0))
    }
    ((_, rows),) = costs_table(pool_results(made)).groups
    assert texts(rows) == [
        ["CE", "2", "3.0 s", "4.0 s", "–", "–", "–"],
        ["D-SINK", "2", "1 min 30 s", "1 min 30 s", "2", "2", "30 s"],
    ]
