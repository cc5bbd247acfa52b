from __future__ import annotations

import pytest

from lt_callbacks.apps.config.train_schemas import ObjectiveConfig, TrainConfig
from lt_callbacks.apps.distill import rows as distill_recipes
from lt_callbacks.apps.report import methods as compare_methods
from lt_callbacks.apps.report.methods import compared_of, reference_of
from lt_callbacks.apps.train.rows import PLAIN, RECIPES, title


def test_the_names_are_those_of_the_commands():
    titles = [RECIPES[name].title for name in (PLAIN, "dsink", "imbalance_teacher", "noise_teacher")]
    assert titles == [compare_methods.PLAIN, compare_methods.D_SINK, *compare_methods.TEACHERS]
    distilled = [distill_recipes.RECIPES[name].title for name in (distill_recipes.PLAIN, "adsa")]
    assert distilled == [compare_methods.SOFT, compare_methods.ADSA]
    other = TrainConfig(objective=ObjectiveConfig(name="gce"))
    assert title(PLAIN, other).startswith(compare_methods.BASE_LOSS)


@pytest.mark.parametrize(
    ("methods", "reference"),
    [
        (["f_L alone", "CE", "D-SINK"], "CE"),
        (["D-SINK", "base loss (gce)"], "base loss (gce)"),
        (["base loss (gce)", "CE"], "CE"),
        (["base loss (gce)", "base loss (sce)"], None),
        (["hard labels", "soft labels", "ADSA"], "soft labels"),
        (["D-SINK"], None),
    ],
)
def test_the_plain_row_is_the_reference(methods, reference):
    assert reference_of(methods) == reference


@pytest.mark.parametrize(
    ("methods", "against"),
    [
        (["CE", "f_L alone", "f_N alone", "D-SINK"], {"better teacher": ("f_L alone", "f_N alone"), "CE": ("CE",)}),
        (["f_N alone", "D-SINK"], {"f_N alone": ("f_N alone",)}),
        (["base loss (gce)", "D-SINK"], {"base loss (gce)": ("base loss (gce)",)}),
    ],
)
def test_dsink_is_compared_with_the_better_teacher_and_the_plain_row(methods, against):
    found = compared_of(methods)
    assert (found.method, found.against) == ("D-SINK", against)


def test_adsa_is_compared_with_the_soft_labels_as_they_are():
    found = compared_of(["soft labels", "ADSA"])
    assert (found.method, found.against) == ("ADSA", {"soft labels": ("soft labels",)})


@pytest.mark.parametrize("methods", [["CE", "f_L alone"], ["D-SINK"], ["ADSA"], []])
def test_without_a_pair_nothing_is_compared(methods):
    assert compared_of(methods) is None
