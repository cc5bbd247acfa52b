from __future__ import annotations

from comparison_documents import comparison, document, settings, sweep
from made_results import method_result
from report_material import material

from lt_callbacks.apps.report.glance import at_a_glance, default_title, summary_of
from lt_callbacks.evaluation import pool_results


def test_titles_say_what_is_compared():
    assert default_title(comparison()) == "digits: accuracy by noise.ratio and imbalance.factor"
    assert default_title(comparison(ratios=(0.4,), factors=(10.0,))) == "digits: accuracy at one setting"
    three = [document({**settings(), "data": {"name": name}}, [method_result()]) for name in "ab"]
    assert default_title(pool_results(dict(zip("ab", three, strict=True)))) == "Accuracy by data.name"
    asked = pool_results(sweep(), group_by=["dsink.alpha"])
    assert default_title(asked) == "digits: accuracy by dsink.alpha, noise.ratio and imbalance.factor"


def test_the_summary_counts():
    made = material({"a": document(settings(), [method_result()])})
    assert summary_of(made) == "1 setting, 1 method, 1 seed; 1 result from 1 file."


def test_gains_are_counted_by_the_side_of_their_intervals():
    documents = {}
    for ratio, gains in ((0.1, (1.0, 1.1)), (0.2, (-1.0, -1.1)), (0.3, (1.0, -1.0)), (0.4, (5.0,))):
        results = [
            run
            for s, gain in enumerate(gains)
            for run in (method_result("CE", s, 50), method_result("D-SINK", s, 50 + gain))
        ]
        documents[str(ratio)] = document(settings(ratio), results)
    assert at_a_glance(material(documents))[0] == (
        "D-SINK minus CE, paired 95 % interval in each of 4 settings: above 0 in 1, below in 1, undecided in 1, "
        "a single pair in 1."
    )


def test_too_few_seeds_and_gaps_are_told():
    documents = sweep(factors=(10.0,), methods=("CE", "f_L alone"), seeds=(0, 1))
    documents["extra"] = document(settings(0.3), [method_result("CE", s) for s in (0, 1, 2)])
    told = at_a_glance(material(documents))
    assert "Some means rest on 2 seeds: too few for a claim." in told
    assert "1 method of a setting without results: shown as – in tables, grey in maps." in told
    assert at_a_glance(material(sweep(factors=(10.0,), methods=("CE",)))) == []
