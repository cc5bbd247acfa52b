from __future__ import annotations

import pytest
from tiny_run import tiny_config

from lt_callbacks.apps.train.sweep_objective import objective_value
from lt_callbacks.evaluation import MethodResult


def method_result(method: str, seed: int, **extra: float | None) -> MethodResult:
    # The test accuracy is as far from the held-out one as can be: nothing is chosen by it.
    shares = {"accuracy": 99.0, "many": None, "medium": None, "few": None, "per_class": (99.0,)}
    return MethodResult(method=method, seed=seed, seconds=1.0, extra=extra, **shares)


def value(folder, results, *overrides: str) -> float | None:
    return objective_value(tiny_config(folder, "methods=[ce,dsink]", *overrides), results)


def test_it_is_the_held_out_accuracy_of_the_last_method_over_seeds(tmp_path):
    results = [
        method_result("D-SINK", 0, val_accuracy=50.0),
        method_result("CE", 0, val_accuracy=10.0),
        method_result("D-SINK", 1, val_accuracy=53.0),
        method_result("CE", 1, val_accuracy=90.0),
    ]
    assert value(tmp_path, results) == pytest.approx(51.5)
    assert value(tmp_path, results, "methods=[dsink,ce]") == pytest.approx(50.0)


def test_zero_is_a_value(tmp_path):
    assert value(tmp_path, [method_result("D-SINK", 0, val_accuracy=0.0)]) == 0.0


def test_the_plain_row_is_found_under_the_name_that_its_base_loss_gives_it(tmp_path):
    results = [method_result("base loss (gce)", 0, val_accuracy=40.0)]
    assert value(tmp_path, results, "methods=[dsink,ce]", "objective=gce") == pytest.approx(40.0)
    assert value(tmp_path, results, "methods=[dsink,ce]") is None


@pytest.mark.parametrize(
    "results",
    [
        [],
        [method_result("CE", 0, val_accuracy=10.0)],
        [method_result("D-SINK", 0)],
        [method_result("D-SINK", 0, val_accuracy=None)],
        # A mean over some of the seeds would compare settings over different ones.
        [method_result("D-SINK", 0, val_accuracy=50.0), method_result("D-SINK", 1)],
    ],
)
def test_without_all_of_them_there_is_none(tmp_path, results):
    assert value(tmp_path, results) is None
