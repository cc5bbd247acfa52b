from __future__ import annotations

import re

import pytest
from comparison_documents import accuracy_of, comparison, document, settings, sweep
from result_cells import cell

from lt_callbacks.evaluation import pool_results, summarise


def test_seeds_of_several_jobs_are_pooled_by_setting():
    found = comparison()
    assert found.axes == ("noise.ratio", "imbalance.factor")
    assert [setting.values for setting in found.settings] == [
        {"noise.ratio": ratio, "imbalance.factor": factor} for ratio in (0.2, 0.4) for factor in (10, 100)
    ]
    last = found.settings[-1]
    assert [(c.method, c.seed) for c in last.cells[:4]] == [("CE", 0), ("CE", 1), ("CE", 2), ("f_L alone", 0)]
    assert [c.accuracy for c in last.of("D-SINK")] == [accuracy_of("D-SINK", 0.4, 100, seed) for seed in (0, 1, 2)]
    assert last.sources[:3] == tuple(f"0.4-100.0-{seed}/metrics.json" for seed in (0, 1, 2))
    assert (last.label, last.short_label) == ("noise.ratio=0.4, imbalance.factor=100", "0.4 / 100")
    assert (found.seeds, found.num_cells, found.methods[0], found.methods[-1]) == ([0, 1, 2], 48, "CE", "D-SINK")


def test_seeds_within_one_document_are_pooled_too():
    one = document(settings(), [cell("CE", 0), cell("CE", 1)])
    found = pool_results({"a": one, "b": document(settings(), [cell("CE", 2)])})
    assert (found.axes, found.settings[0].label) == ((), "")
    assert [c.seed for c in found.settings[0].cells] == [0, 1, 2]


def test_what_all_share_is_told_apart_from_what_follows():
    found = comparison(ratios=(0.0, 0.2, 0.4), factors=(10.0,))
    assert found.axes == ("noise.ratio",)
    assert found.follows["noise.kind"].axis == "noise.ratio"
    assert found.follows["noise.kind"].values == ((0, "none"), (0.2, "symmetric"), (0.4, "symmetric"))
    assert found.common == {
        "data.name": "digits",
        "imbalance.profile": "exponential",
        "imbalance.factor": 10,
        "dsink.alpha": 10,
    }


def test_a_corruption_seed_that_follows_the_seed_is_no_axis_and_a_fixed_one_is():
    free, fixed = settings(), settings(corruption_seed=7)
    assert pool_results({"a": document(free, [cell()]), "b": document(free, [cell("CE", 1)])}).axes == ()
    assert pool_results({"a": document(free, [cell()]), "b": document(fixed, [cell()])}).axes == ("corruption_seed",)


def test_a_run_from_a_manifest_is_a_setting_of_its_own():
    made = settings(manifest="ab12", imbalance=None, noise=None)
    found = pool_results({"a": document(settings(), [cell()]), "b": document(made, [cell()])})
    assert len(found.settings) == 2
    assert {setting.values["noise.ratio"] for setting in found.settings} == {0.4, None}


def test_whole_numbers_are_one_value_however_they_are_written():
    found = pool_results(
        {"a": document(settings(factor=10), [cell()]), "b": document(settings(factor=10.0), [cell("CE", 1)])}
    )
    assert found.axes == ()


def test_cell_names_of_a_document_are_an_axis():
    found = pool_results({"a": document(settings(), [cell(cell="x"), cell(cell="y")])})
    assert [setting.values for setting in found.settings] == [{"cell": "x"}, {"cell": "y"}]
    assert summarise(found.settings[0].cells, reference=None)[0].num_seeds == 1
    assert found.settings[0].cells[0].cell == ""


def test_documents_without_cells_are_left_out():
    found = pool_results({"a": document(settings(0.2), []), "b": document(settings(0.4), [cell()])})
    assert (found.axes, len(found.settings)) == ((), 1)
    with pytest.raises(ValueError, match=re.escape("at least one finished cell; got 1 documents without any.")):
        pool_results({"a": document(settings(), [])})


def test_a_cell_found_twice_with_other_results_names_both_files():
    one, other = document(settings(), [cell(accuracy=50.0)]), document(settings(), [cell(accuracy=51.5)])
    text = (
        "'CE' with seed 0 has accuracy 50 in a/metrics.json and 51.5 in b/metrics.json, with equal settings. Leave one"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        pool_results({"a/metrics.json": one, "b/metrics.json": other})


def test_other_accuracies_by_class_are_other_results():
    one, other = document(settings(), [cell()]), document(settings(), [cell(per_class=(80.0, 50.0, 21.0))])
    with pytest.raises(ValueError, match="twice alike"):
        pool_results({"a": one, "b": other})


def test_a_cell_found_twice_alike_counts_once_and_is_told():
    slow = cell(seconds=9.0, extra={"teachers": {"noise": {"seconds": 3.0, "reused": False}}, "loss": 1.0})
    fast = cell(seconds=1.0, extra={"teachers": {"noise": {"seconds": 0.1, "reused": True}}, "loss": 1.0})
    found = pool_results({"a": document(settings(), [slow]), "b": document(settings(), [fast])})
    assert found.num_cells == 1
    assert found.settings[0].cells[0].seconds == 9.0
    assert found.repeated == ("CE, seed 0: alike in a and b, counted once.",)


def test_the_same_seed_at_another_setting_is_no_repetition():
    found = comparison(seeds=(0,))
    assert (found.repeated, found.num_cells) == ((), 16)


def test_methods_that_an_axis_does_not_enter_are_found():
    alphas = {
        f"{alpha}-{ratio}": document(
            settings(ratio, dsink={"alpha": alpha}),
            [cell("CE", 0, 50 - 10 * ratio), cell("D-SINK", 0, 60 + alpha), cell("f_N alone", 0, 55)],
        )
        for alpha in (1, 10)
        for ratio in (0.2, 0.4)
    }
    assert pool_results(alphas).unaffected() == {
        "noise.ratio": ["D-SINK", "f_N alone"],
        "dsink.alpha": ["CE", "f_N alone"],
    }


def test_one_place_says_nothing_about_an_axis():
    found = pool_results({"a": document(settings(0.2), [cell("CE")]), "b": document(settings(0.4), [cell("D-SINK")])})
    assert found.unaffected() == {}


def test_a_share_that_only_some_seeds_have_is_left_out_there():
    cells = [cell("CE", 0, wrong_labels_fitted=5.0), cell("CE", 1), cell("D-SINK", 0, wrong_labels_fitted=3.0)]
    found = pool_results({"a": document(settings(), cells)}).settings[0]
    assert [c.wrong_labels_fitted for c in found.cells] == [None, None, 3.0]
    assert [c.many for c in found.cells] == [80.0] * 3
    summarise(found.cells, reference="CE")


def test_settings_are_found_by_their_values():
    found = comparison()
    assert [s.short_label for s in found.at({"imbalance.factor": 100})] == ["0.2 / 100", "0.4 / 100"]
    assert len(found.at({})) == 4
    assert found.at({"noise.ratio": 0.3}) == []
    assert found.values("imbalance.factor") == [10, 100]


def test_an_asked_setting_is_an_axis_though_it_does_not_vary():
    found = pool_results(sweep(), group_by=["dsink.alpha", "imbalance.factor"])
    assert found.axes == ("dsink.alpha", "imbalance.factor", "noise.ratio")
    assert "dsink.alpha" not in found.common
