from __future__ import annotations

from comparison_documents import METHODS, comparison, document, settings
from made_results import method_result

from lt_callbacks.evaluation import pool_results, summarise
from lt_callbacks.evaluation.comparison.setting_rows import summarise_settings


def test_each_setting_has_the_rows_of_its_results():
    found = comparison()
    made = summarise_settings(found, reference="CE")
    assert [each.setting for each in made] == list(found.settings)
    for each in made:
        assert list(each.rows) == summarise(each.setting.results, reference="CE")
        assert [row.method for row in each.rows] == list(METHODS)
    assert made[0].of("D-SINK") is made[0].rows[-1]


def test_a_setting_without_the_reference_has_rows_without_differences():
    made = {
        "a": document(settings(0.2), [method_result("CE")]),
        "b": document(settings(0.4), [method_result("D-SINK")]),
    }
    with_reference, without = summarise_settings(pool_results(made), reference="CE")
    assert with_reference.of("CE").is_reference
    assert with_reference.of("D-SINK") is None
    assert without.of("D-SINK").difference is None
