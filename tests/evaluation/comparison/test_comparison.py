from __future__ import annotations

from comparison_documents import comparison, document, settings
from made_results import method_result

from lt_callbacks.evaluation import pool_results


def test_methods_that_an_axis_does_not_enter_are_found():
    alphas = {
        f"{alpha}-{ratio}": document(
            settings(ratio, dsink={"alpha": alpha}),
            [
                method_result("CE", 0, 50 - 10 * ratio),
                method_result("D-SINK", 0, 60 + alpha),
                method_result("f_N alone", 0, 55),
            ],
        )
        for alpha in (1, 10)
        for ratio in (0.2, 0.4)
    }
    assert pool_results(alphas).unaffected() == {
        "noise.ratio": ["D-SINK", "f_N alone"],
        "dsink.alpha": ["CE", "f_N alone"],
    }


def test_one_place_says_nothing_about_an_axis():
    found = pool_results(
        {"a": document(settings(0.2), [method_result("CE")]), "b": document(settings(0.4), [method_result("D-SINK")])}
    )
    assert found.unaffected() == {}


def test_settings_are_found_by_their_values():
    found = comparison()
    assert [s.short_title for s in found.at({"imbalance.factor": 100})] == ["0.2 / 100", "0.4 / 100"]
    assert len(found.at({})) == 4
    assert found.at({"noise.ratio": 0.3}) == []
    assert found.values("imbalance.factor") == [10, 100]
