from __future__ import annotations

import csv
import io
import statistics

import pytest
from comparison_documents import accuracy_of, comparison, document, settings
from made_results import method_result
from method_rows import method_rows
from scipy import stats

from lt_callbacks.evaluation import csv_table, pool_results, summarise
from lt_callbacks.evaluation.comparison.setting_rows import summarise_settings
from lt_callbacks.evaluation.pages.csv_files import results_csv, summary_csv


def summary(found):
    return list(csv.DictReader(io.StringIO(summary_csv(found, summarise_settings(found, reference="CE")))))


def test_csv_holds_full_precision():
    rows = method_rows()
    plain, ours = csv.DictReader(io.StringIO(csv_table(rows)))
    expected = stats.t.interval(0.95, 2, loc=21, scale=1 / 3**0.5)
    assert ours["method"] == "D-SINK | a_b [x]"
    assert float(ours["accuracy_sd"]) == pytest.approx(7**0.5, abs=1e-12)
    assert (float(ours["difference_low"]), float(ours["difference_high"])) == pytest.approx(expected, abs=1e-9)
    assert ours["difference_num_pairs"] == "3"
    assert float(ours["best_epoch_accuracy_mean"]) == 80.0
    assert plain["difference_mean"] == plain["few_mean"] == plain["best_epoch_accuracy_mean"] == ""
    assert "\r" not in csv_table(rows)


def test_means_and_differences_have_all_their_digits():
    thirds = {"CE": (100 / 3, 151 / 3, 40.1), "D-SINK": (170 / 3, 200 / 3, 50.3)}
    results = [method_result(name, seed, value) for name, values in thirds.items() for seed, value in enumerate(values)]
    rows = summarise(results, reference="CE")
    for row, line in zip(rows, csv.DictReader(io.StringIO(csv_table(rows))), strict=True):
        values = thirds[row.method]
        assert float(line["accuracy_mean"]) == pytest.approx(sum(values) / 3, abs=1e-12)
        assert float(line["accuracy_sd"]) == pytest.approx(statistics.stdev(values), abs=1e-12)
    gains = [ours - theirs for ours, theirs in zip(thirds["D-SINK"], thirds["CE"], strict=True)]
    assert float(line["difference_mean"]) == pytest.approx(sum(gains) / 3, abs=1e-12)
    assert float(line["difference_sd"]) == pytest.approx(statistics.stdev(gains), abs=1e-12)


def test_results_csv_has_a_line_a_result_in_full_precision():
    teachers = {"noise": {"seconds": 30.5, "reused": False}, "imbalance": {"seconds": 0.1, "reused": True}}
    made = {
        "a/metrics.json": document(settings(0.2, 10), [method_result("CE", 0, 100 / 3, few=None)]),
        "b/metrics.json": document(
            settings(0.4, 10), [method_result("D-SINK", 1, extra={"teachers": teachers}, best_accuracy=60.0)]
        ),
    }
    first, second = csv.DictReader(io.StringIO(results_csv(pool_results(made))))
    assert float(first["accuracy"]) == 100 / 3
    assert {name: first[name] for name in ("noise.ratio", "method", "seed", "few", "teachers_reused", "file")} == {
        "noise.ratio": "0.2", "method": "CE", "seed": "0", "few": "", "teachers_reused": "", "file": "a/metrics.json"
    }  # fmt: skip
    assert (second["teachers_reused"], second["teacher_seconds"], second["best_epoch_accuracy"]) == (
        "1",
        "30.5",
        "60.0",
    )


def test_summary_csv_has_a_line_a_setting_and_method():
    rows = summary(comparison())
    assert len(rows) == 16
    last = rows[-1]
    assert (last["noise.ratio"], last["imbalance.factor"], last["method"], last["num_seeds"]) == (
        "0.4",
        "100",
        "D-SINK",
        "3",
    )
    expected = sum(accuracy_of("D-SINK", 0.4, 100, seed) for seed in range(3)) / 3
    assert float(last["accuracy_mean"]) == pytest.approx(expected)
    assert float(last["difference_mean"]) == pytest.approx(7.0)


def test_a_setting_without_the_reference_has_no_differences():
    made = {
        "a": document(settings(0.2), [method_result("CE")]),
        "b": document(settings(0.4), [method_result("D-SINK")]),
    }
    rows = summary(pool_results(made))
    assert [row["difference_mean"] for row in rows] == ["", ""]


def test_text_that_looks_like_csv_stays_one_value():
    nasty = 'a, "b"\nc; <script>alert(1)</script>'
    made = {nasty: document(settings(0.2, data={"name": nasty}), [method_result("CE"), method_result(nasty)])}
    found = pool_results(made, group_by=["data.name"])
    assert {(row["data.name"], row["method"]) for row in summary(found)} == {(nasty, "CE"), (nasty, nasty)}
    rows = list(csv.DictReader(io.StringIO(results_csv(found))))
    assert [(row["data.name"], row["method"], row["file"]) for row in rows] == [
        (nasty, "CE", nasty),
        (nasty, nasty, nasty),
    ]
