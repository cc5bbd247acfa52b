from __future__ import annotations

import pytest
from torch import nn

from lt_callbacks.apps.config.train_schemas import DSinkConfig, ObjectiveConfig, TrainConfig
from lt_callbacks.apps.train.rows import PLAIN, RECIPES, num_trainings, title
from lt_callbacks.plugins import DSink, NaiveDistillation
from lt_callbacks.teachers import ModuleTeacher


def made(method, **settings):
    noise, imbalance = ModuleTeacher(nn.Identity()), ModuleTeacher(nn.Identity())
    dsink = RECIPES[method].dsink(TrainConfig(dsink=DSinkConfig(**settings)), noise, imbalance)
    assert (dsink.noise_teacher, dsink.imbalance_teacher) == (noise, imbalance)
    return dsink


def described(dsink):
    labeler = dsink.labeler
    return {
        "alpha": dsink.alpha,
        "warmup_epochs": dsink.warmup_epochs,
        "student_weight": labeler.student_weight,
        "class_marginal": labeler.class_marginal.kind,
        "queue_batches": labeler.queue_batches,
        "scope": labeler.scope,
        "max_iterations": labeler.max_iterations,
        "tolerance": labeler.tolerance,
    }


SETTINGS = {
    "alpha": 3.0,
    "warmup_epochs": 2,
    "student_weight": 0.25,
    "class_marginal": "batch",
    "queue_batches": 4,
    "scope": "local",
    "max_iterations": 7,
    "tolerance": 0.1,
}

CHANGES = {
    "dsink": {},
    "rows_only": {"class_marginal": "none"},
    "uniform_marginal": {"class_marginal": "uniform"},
    "own_marginal": {"class_marginal": "student"},
    "no_noise_teacher": {"student_weight": 1.0},
    "running_marginal": {"class_marginal": "running"},
}


@pytest.mark.parametrize("method", CHANGES)
def test_a_row_has_the_settings_of_the_run_less_the_one_that_it_is_about(method):
    dsink = made(method, **SETTINGS)
    assert type(dsink) is DSink
    assert described(dsink) == {**SETTINGS, **CHANGES[method]}


def test_the_naive_row_has_the_same_weight_and_no_transport():
    naive = made("naive", **SETTINGS)
    assert isinstance(naive, NaiveDistillation)
    assert (naive.alpha, naive.warmup_epochs) == (3.0, 2)


def test_every_row_with_a_loss_of_its_own_is_tested_here():
    assert {name for name, recipe in RECIPES.items() if recipe.dsink is not None} == {*CHANGES, "naive"}


def test_titles_tell_the_rows_of_a_document_apart():
    titles = [title(method, TrainConfig()) for method in RECIPES]
    assert len(set(titles)) == len(titles)
    assert title("ce", TrainConfig()) == "CE"
    assert title("dsink", TrainConfig()) == "D-SINK"


def test_the_plain_row_is_called_ce_only_if_it_is():
    config = TrainConfig(objective=ObjectiveConfig(name="gce"))
    assert title(PLAIN, config) == "base loss (gce)"
    assert title("dsink", config) == "D-SINK"


@pytest.mark.parametrize(
    ("method", "needs"),
    [
        ("ce", ()),
        ("imbalance_teacher", ("imbalance",)),
        ("noise_teacher", ("noise",)),
        ("naive", ("imbalance", "noise")),
        ("rows_only", ("imbalance", "noise")),
        ("noise_teacher_matched", ("imbalance", "noise")),
        ("dsink_matched", ("imbalance", "noise")),
    ],
)
def test_teachers_that_a_row_needs(method, needs):
    assert RECIPES[method].needs == needs


@pytest.mark.parametrize(
    ("methods", "total"),
    [
        ([], 0),
        (["ce"], 1),
        (["noise_teacher"], 1),
        (["dsink"], 3),
        (["noise_teacher_matched"], 2),
        (["ce", "imbalance_teacher", "noise_teacher", "naive", "dsink"], 5),
        (["imbalance_teacher", "noise_teacher_matched", "rows_only"], 3),
        (["dsink_matched"], 3),
        (["dsink", "dsink_matched"], 3),
        (["rows_only", "dsink_matched"], 4),
    ],
)
def test_a_teacher_is_trained_once_for_all_rows(methods, total):
    assert num_trainings(methods) == total
