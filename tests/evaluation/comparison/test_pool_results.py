from __future__ import annotations

import re

import pytest
from comparison_documents import accuracy_of, comparison, document, settings, sweep
from made_results import method_result

from lt_callbacks.evaluation import pool_results, summarise


def test_seeds_of_several_jobs_are_pooled_by_setting():
    found = comparison()
    assert found.axes == ("noise.ratio", "imbalance.factor")
    assert [setting.values for setting in found.settings] == [
        {"noise.ratio": ratio, "imbalance.factor": factor} for ratio in (0.2, 0.4) for factor in (10, 100)
    ]
    last = found.settings[-1]
    assert [(c.method, c.seed) for c in last.results[:4]] == [("CE", 0), ("CE", 1), ("CE", 2), ("f_L alone", 0)]
    assert [c.accuracy for c in last.of("D-SINK")] == [accuracy_of("D-SINK", 0.4, 100, seed) for seed in (0, 1, 2)]
    assert last.sources[:3] == tuple(f"0.4-100.0-{seed}/metrics.json" for seed in (0, 1, 2))
    assert (last.title, last.short_title) == ("noise.ratio=0.4, imbalance.factor=100", "0.4 / 100")
    assert (found.seeds, found.num_results, found.methods[0], found.methods[-1]) == ([0, 1, 2], 48, "CE", "D-SINK")


def test_seeds_within_one_document_are_pooled_too():
    one = document(settings(), [method_result("CE", 0), method_result("CE", 1)])
    found = pool_results({"a": one, "b": document(settings(), [method_result("CE", 2)])})
    assert (found.axes, found.settings[0].title) == ((), "")
    assert [c.seed for c in found.settings[0].results] == [0, 1, 2]


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
    assert (
        pool_results({"a": document(free, [method_result()]), "b": document(free, [method_result("CE", 1)])}).axes == ()
    )
    assert pool_results({"a": document(free, [method_result()]), "b": document(fixed, [method_result()])}).axes == (
        "corruption_seed",
    )


def test_a_run_from_a_manifest_is_a_setting_of_its_own():
    made = settings(manifest="ab12", imbalance=None, noise=None)
    found = pool_results({"a": document(settings(), [method_result()]), "b": document(made, [method_result()])})
    assert len(found.settings) == 2
    assert {setting.values["noise.ratio"] for setting in found.settings} == {0.4, None}


def test_whole_numbers_are_one_value_however_they_are_written():
    found = pool_results(
        {
            "a": document(settings(factor=10), [method_result()]),
            "b": document(settings(factor=10.0), [method_result("CE", 1)]),
        }
    )
    assert found.axes == ()


def test_names_of_settings_of_a_document_are_an_axis():
    found = pool_results({"a": document(settings(), [method_result(setting="x"), method_result(setting="y")])})
    assert [setting.values for setting in found.settings] == [{"setting": "x"}, {"setting": "y"}]
    assert summarise(found.settings[0].results, reference=None)[0].num_seeds == 1
    assert found.settings[0].results[0].setting == ""


def test_documents_without_results_are_left_out():
    found = pool_results({"a": document(settings(0.2), []), "b": document(settings(0.4), [method_result()])})
    assert (found.axes, len(found.settings)) == ((), 1)
    with pytest.raises(ValueError, match=re.escape("at least one finished result; got 1 documents without any.")):
        pool_results({"a": document(settings(), [])})


def test_a_result_found_twice_with_other_results_names_both_files():
    one, other = (
        document(settings(), [method_result(accuracy=50.0)]),
        document(settings(), [method_result(accuracy=51.5)]),
    )
    text = "'CE' with seed 0, accuracy 50 in a/metrics.json and 51.5 in b/metrics.json, with equal settings. Leave one"
    with pytest.raises(ValueError, match=re.escape(text)):
        pool_results({"a/metrics.json": one, "b/metrics.json": other})


def test_other_accuracies_by_class_are_other_results():
    one, other = (
        document(settings(), [method_result()]),
        document(settings(), [method_result(per_class=(80.0, 50.0, 21.0))]),
    )
    with pytest.raises(ValueError, match="twice alike"):
        pool_results({"a": one, "b": other})


def test_a_result_found_twice_alike_counts_once_and_is_told():
    slow = method_result(seconds=9.0, extra={"teachers": {"noise": {"seconds": 3.0, "reused": False}}, "loss": 1.0})
    fast = method_result(seconds=1.0, extra={"teachers": {"noise": {"seconds": 0.1, "reused": True}}, "loss": 1.0})
    found = pool_results({"a": document(settings(), [slow]), "b": document(settings(), [fast])})
    assert found.num_results == 1
    assert found.settings[0].results[0].seconds == 9.0
    assert found.repeated == ("CE, seed 0: alike in a and b, counted once.",)


def test_the_same_seed_at_another_setting_is_no_repetition():
    found = comparison(seeds=(0,))
    assert (found.repeated, found.num_results) == ((), 16)


def test_a_share_that_only_some_seeds_have_is_left_out_there():
    results = [
        method_result("CE", 0, wrong_labels_fitted=5.0),
        method_result("CE", 1),
        method_result("D-SINK", 0, wrong_labels_fitted=3.0),
    ]
    found = pool_results({"a": document(settings(), results)}).settings[0]
    assert [c.wrong_labels_fitted for c in found.results] == [None, None, 3.0]
    assert [c.many for c in found.results] == [80.0] * 3
    summarise(found.results, reference="CE")


def test_an_asked_setting_is_an_axis_though_it_does_not_vary():
    found = pool_results(sweep(), group_by=["dsink.alpha", "imbalance.factor"])
    assert found.axes == ("dsink.alpha", "imbalance.factor", "noise.ratio")
    assert "dsink.alpha" not in found.common
