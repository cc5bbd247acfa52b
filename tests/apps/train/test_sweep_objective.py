from __future__ import annotations

import pytest
from tiny_run import tiny_config

from lt_callbacks.apps.train.sweep_objective import objective_value
from lt_callbacks.evaluation import CellResult


def cell(method: str, seed: int, **extra: float | None) -> CellResult:
    # The test accuracy is as far from the held-out one as can be: nothing is chosen by it.
    shares = {"accuracy": 99.0, "many": None, "medium": None, "few": None, "per_class": (99.0,)}
    return CellResult(method=method, seed=seed, seconds=1.0, extra=extra, **shares)


def value(folder, cells, *overrides: str) -> float | None:
    return objective_value(tiny_config(folder, "methods=[ce,dsink]", *overrides), cells)


def test_it_is_the_held_out_accuracy_of_the_last_method_over_seeds(tmp_path):
    cells = [
        cell("D-SINK", 0, val_accuracy=50.0),
        cell("CE", 0, val_accuracy=10.0),
        cell("D-SINK", 1, val_accuracy=53.0),
        cell("CE", 1, val_accuracy=90.0),
    ]
    assert value(tmp_path, cells) == pytest.approx(51.5)
    assert value(tmp_path, cells, "methods=[dsink,ce]") == pytest.approx(50.0)


def test_zero_is_a_value(tmp_path):
    assert value(tmp_path, [cell("D-SINK", 0, val_accuracy=0.0)]) == 0.0


def test_the_plain_row_is_found_under_the_name_that_its_base_loss_gives_it(tmp_path):
    cells = [cell("base loss (gce)", 0, val_accuracy=40.0)]
    assert value(tmp_path, cells, "methods=[dsink,ce]", "objective=gce") == pytest.approx(40.0)
    assert value(tmp_path, cells, "methods=[dsink,ce]") is None


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [cell("CE", 0, val_accuracy=10.0)],
        [cell("D-SINK", 0)],
        [cell("D-SINK", 0, val_accuracy=None)],
        # A mean over some of the seeds would compare settings over different ones.
        [cell("D-SINK", 0, val_accuracy=50.0), cell("D-SINK", 1)],
    ],
)
def test_without_all_of_them_there_is_none(tmp_path, cells):
    assert value(tmp_path, cells) is None
