from __future__ import annotations

from comparison_documents import document, settings
from made_results import method_result
from report_material import material

from lt_callbacks.apps.report.sections import about_unaffected, sections_of
from lt_callbacks.evaluation import pool_results


def test_methods_that_an_axis_does_not_enter_are_named():
    documents = {
        str(alpha): document(
            settings(dsink={"alpha": alpha}), [method_result("CE", 0, 50), method_result("D-SINK", 0, 50 + alpha)]
        )
        for alpha in (1, 10)
    }
    assert about_unaffected(pool_results(documents)) == ["The same at every dsink.alpha: CE."]


def test_the_sections_are_in_the_order_of_interest():
    results = [method_result("CE", 0), method_result("D-SINK", 0)]
    titles = [section.title for section in sections_of(material({"a": document(settings(), results)}))]
    assert titles == [
        *("At a glance", "Accuracy", "Gain of D-SINK", "Many, medium and few", "Time", "Settings", "Origin")
    ]


def test_sections_about_nothing_are_left_out():
    results = [method_result("CE", seed, many=None, medium=None, few=None) for seed in range(3)]
    titles = [section.title for section in sections_of(material({"a": document(settings(), results)}))]
    assert titles == ["Accuracy", "All shares", "Time", "Settings", "Origin"]
