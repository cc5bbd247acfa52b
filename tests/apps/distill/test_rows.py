from __future__ import annotations

import pytest

from lt_callbacks.apps.config.distill_schemas import AdsaConfig, DistillConfig
from lt_callbacks.apps.distill.rows import PLAIN, RECIPES, num_students
from lt_callbacks.relabel.fit import FITTED_ON


def test_titles_tell_the_rows_of_a_document_apart():
    titles = [recipe.title for recipe in RECIPES.values()]
    assert len(set(titles)) == len(titles)


def test_the_row_to_compare_with_has_labels_as_the_networks_give_them():
    assert RECIPES[PLAIN].tau == 0.0
    assert RECIPES[PLAIN].title == "soft labels"


def test_every_kind_of_view_that_tau_can_be_fitted_on_has_a_row():
    assert {recipe.fit_on for recipe in RECIPES.values() if recipe.fit_on} == set(FITTED_ON)
    for kind in FITTED_ON:
        assert RECIPES[f"adsa_{kind}"].fit_on == kind
    assert RECIPES["adsa"].is_fitted
    assert RECIPES["adsa"].fit_on is None


def test_each_row_is_of_one_kind():
    for recipe in RECIPES.values():
        kinds = (recipe.tau is not None, recipe.is_fitted, recipe.is_oracle, recipe.is_hard, recipe.is_network)
        assert sum(kinds) == 1


@pytest.mark.parametrize(
    ("method", "needs_set", "needs_labels"),
    [
        ("networks", False, False),
        ("hard", True, False),
        ("soft", True, True),
        ("tau_1", True, True),
        ("adsa", True, True),
        ("adsa_plain", True, True),
        ("oracle", True, True),
    ],
)
def test_what_must_be_there_first(method, needs_set, needs_labels):
    assert (RECIPES[method].needs_set, RECIPES[method].needs_labels) == (needs_set, needs_labels)


@pytest.mark.parametrize(
    ("methods", "total"),
    [
        ([], 0),
        (["networks"], 0),
        (["hard"], 1),
        (["hard", "soft", "tau_1", "adsa"], 4),
        (["oracle"], 3),
        # 1.0 is one of the oracle's.
        (["tau_1", "oracle"], 3),
        (["soft", "oracle"], 4),
        (["oracle", "networks", "hard"], 4),
        (["adsa", "adsa_plain", "adsa_crops"], 3),
        # The same fit.
        (["adsa", "adsa_mixed"], 1),
    ],
)
def test_equal_labels_are_learned_once(methods, total):
    config = DistillConfig(adsa=AdsaConfig(fit_on="mixed"), oracle_taus=[0.5, 1.0, 2.0, 0.5])
    assert num_students(methods, config) == total
