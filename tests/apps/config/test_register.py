from __future__ import annotations

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS, DistillConfig
from lt_callbacks.apps.config.register import ALL_GROUPS, register_schemas
from lt_callbacks.apps.config.train_schemas import GROUPS, TrainConfig


@pytest.mark.parametrize(("name", "schema"), [("train_schema", TrainConfig), ("distill_schema", DistillConfig)])
def test_hydra_knows_the_schema_of_each_command(name, schema):
    register_schemas()
    assert OmegaConf.get_type(ConfigStore.instance().load(f"{name}.yaml").node) is schema


@pytest.mark.parametrize("group", ALL_GROUPS)
def test_hydra_knows_each_group_by_the_name_that_the_yaml_files_extend(group):
    register_schemas()
    assert OmegaConf.get_type(ConfigStore.instance().load(f"{group}/schema.yaml").node) is ALL_GROUPS[group]


def test_no_group_of_one_command_hides_one_of_the_other():
    assert not GROUPS.keys() & DISTILL_GROUPS.keys()
    assert {**GROUPS, **DISTILL_GROUPS} == ALL_GROUPS
