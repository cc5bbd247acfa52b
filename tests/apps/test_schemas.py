from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from lt_callbacks.apps.register import register_schemas
from lt_callbacks.apps.schemas import GROUPS, DataConfig, TeacherConfig, TrainConfig


@pytest.mark.parametrize("schema", [DataConfig, TeacherConfig, TrainConfig])
def test_every_field_that_no_constructor_documents_has_a_sentence(schema):
    described = re.findall(r"^ {8}(\w+): [A-Z`][^.]", schema.__doc__, flags=re.MULTILINE)
    assert described == [field.name for field in fields(schema)]


@pytest.mark.parametrize("schema", sorted({*GROUPS.values()} - {DataConfig, TeacherConfig}, key=lambda s: s.__name__))
def test_the_others_say_where_their_fields_are_documented(schema):
    assert re.search(r"`(lightning|lt_callbacks)\.[\w.]+`", schema.__doc__)


def test_the_groups_are_those_of_the_whole():
    defaults = TrainConfig()
    for group, schema in GROUPS.items():
        assert type(getattr(defaults, group)) is schema


def test_hydra_knows_each_schema_by_the_name_that_the_yaml_files_extend():
    register_schemas()
    store = ConfigStore.instance()
    assert OmegaConf.get_type(store.load("train_schema.yaml").node) is TrainConfig
    for group, schema in GROUPS.items():
        assert OmegaConf.get_type(store.load(f"{group}/schema.yaml").node) is schema


def test_two_configs_share_no_list_or_mapping():
    first, second = TrainConfig(), TrainConfig()
    first.methods.append("dsink")
    first.optimisation.milestones.append(0.9)
    first.noise_teacher.settings["q"] = 0.7
    assert second == TrainConfig()


def test_nothing_is_corrupted_unless_a_config_says_so():
    assert (TrainConfig().noise.kind, TrainConfig().imbalance.factor) == ("none", 1.0)
