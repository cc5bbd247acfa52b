"""Schemas agree with the constructors that are given their settings."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields

import pytest
from lightning.pytorch import Trainer

from lt_callbacks.apps.config.distill_schemas import AdsaConfig
from lt_callbacks.apps.config.train_schemas import (
    DataConfig,
    DSinkConfig,
    ImbalanceConfig,
    ModelConfig,
    NoiseConfig,
    ObjectiveConfig,
    OptimisationConfig,
    TrainerConfig,
)
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import SOURCES, LongTailedDataModule
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.plugins import ADSACallback, DSink


def defaults_of(schema):
    return {
        field.name: field.default if field.default is not MISSING else field.default_factory()
        for field in fields(schema)
    }


def parameters_of(function):
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize(
    ("schema", "constructor"),
    [(ImbalanceConfig, Imbalance), (NoiseConfig, Noise), (OptimisationConfig, Optimisation)],
)
def test_a_schema_is_its_constructors_signature(schema, constructor):
    expected = parameters_of(constructor)
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in defaults_of(schema).items()} == expected


@pytest.mark.parametrize(
    ("schema", "constructor", "elsewhere"),
    [
        (DSinkConfig, DSink, set()),
        (ModelConfig, build_model, {"name", "channels_last", "compile"}),
        (
            DataConfig,
            LongTailedDataModule,
            {"name", "root", "path", "train_csv", "test_csv", "image_size", "test_fraction", "crop_padding", "flip"}
            | {"labels_are_true"},
        ),
        (TrainerConfig, Trainer, {"max_epochs", "devices", "precision", "deterministic"}),
    ],
)
def test_what_a_schema_shares_with_a_constructor_has_its_default(schema, constructor, elsewhere):
    parameters = parameters_of(constructor)
    shared = {name: value for name, value in defaults_of(schema).items() if name not in elsewhere}
    assert shared == {name: parameters[name] for name in shared}


def test_what_a_schema_does_not_share_is_read_elsewhere():
    assert parameters_of(Classifier)["channels_last"] == ModelConfig().channels_last
    read = {name for source in SOURCES.values() for name in inspect.signature(source).parameters}
    assert {"root", "path", "train_csv", "test_csv", "image_size", "test_fraction", "crop_padding", "flip"} == read
    assert {field.name for field in fields(TrainerConfig)} <= parameters_of(Trainer).keys()
    assert {field.name for field in fields(ObjectiveConfig)} == {"name", "settings"}


def test_adsa_is_the_same_in_the_command_and_in_the_callback():
    parameters = parameters_of(ADSACallback)
    assert defaults_of(AdsaConfig) == {name: parameters[name] for name in defaults_of(AdsaConfig)}
