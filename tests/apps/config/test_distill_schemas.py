from __future__ import annotations

import inspect
from dataclasses import MISSING, fields

import pytest

from lt_callbacks.apps.config.distill_schemas import (
    DISTILL_GROUPS,
    AdsaConfig,
    DistillConfig,
    DistillerConfig,
    StudentConfig,
    ViewsConfig,
)
from lt_callbacks.apps.config.train_schemas import GROUPS
from lt_callbacks.dataset_distillation import DISTILLERS, Student, StudentLoss
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.methods import Optimisation
from lt_callbacks.plugins import ADSACallback


def defaults_of(schema):
    return {
        field.name: field.default if field.default is not MISSING else field.default_factory()
        for field in fields(schema)
    }


def parameters_of(function):
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def test_the_groups_are_those_of_the_whole():
    defaults = DistillConfig()
    for group, schema in DISTILL_GROUPS.items():
        assert type(getattr(defaults, group)) is schema
    # What both commands read is one group with one schema.
    for group in ("data", "imbalance", "noise", "model", "objective", "optimisation", "trainer"):
        assert type(getattr(defaults, group)) is GROUPS[group]


def test_two_configs_share_no_list_or_mapping():
    first = DistillConfig()
    first.methods.append("networks")
    first.networks.append("resnet20")
    first.oracle_taus.append(9.0)
    first.distiller.settings["num_steps"] = 7
    first.views.crop_area.append(0.5)
    assert DistillConfig() == DistillConfig()
    assert first != DistillConfig()
    assert 9.0 not in DistillConfig().oracle_taus
    assert not DistillConfig().distiller.settings


def test_views_are_those_of_the_constructor():
    parameters = parameters_of(ViewSettings)
    read = defaults_of(ViewsConfig).keys() - {"num_views"}
    # The seed is that of the run.
    assert read == parameters.keys() - {"seed"}


@pytest.mark.parametrize(
    ("names", "constructor"),
    [
        ({"temperature", "hard_weight"}, StudentLoss),
        ({"ema_decay"}, Student),
        ({"weight_decay", "schedule", "optimizer", "learning_rate"}, Optimisation),
    ],
)
def test_what_a_student_reads_is_there_in_a_constructor(names, constructor):
    assert names <= parameters_of(constructor).keys()
    assert names <= defaults_of(StudentConfig).keys()


def test_a_student_shares_its_losses_defaults():
    found, parameters = defaults_of(StudentConfig), parameters_of(StudentLoss)
    assert (found["loss"], found["temperature"], found["hard_weight"]) == tuple(
        parameters[name] for name in ("kind", "temperature", "hard_weight")
    )
    assert found["ema_decay"] == parameters_of(Student)["ema_decay"]


def test_tau_is_fitted_as_the_callback_fits_it():
    parameters = parameters_of(ADSACallback)
    assert defaults_of(AdsaConfig) == {name: parameters[name] for name in ("fit_on", "num_fit_views", "shrink_to")}


def test_the_default_distiller_is_one():
    assert DistillerConfig().name in DISTILLERS
