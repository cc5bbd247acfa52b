from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest

from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS, DistillConfig
from lt_callbacks.apps.config.train_schemas import GROUPS, DataConfig, TeacherConfig, TrainConfig


@pytest.mark.parametrize("schema", [DataConfig, TeacherConfig, TrainConfig, *DISTILL_GROUPS.values(), DistillConfig])
def test_every_field_that_no_constructor_documents_has_a_sentence(schema):
    described = re.findall(r"^ {4}(\w+): [A-Z`][^.]", inspect.getdoc(schema), flags=re.MULTILINE)
    assert described == [field.name for field in fields(schema)]


@pytest.mark.parametrize("schema", sorted({*GROUPS.values()} - {DataConfig, TeacherConfig}, key=lambda s: s.__name__))
def test_the_others_say_where_their_fields_are_documented(schema):
    assert re.search(r"`(lightning|lt_callbacks)\.[\w.]+`", schema.__doc__)


def test_the_groups_are_those_of_the_whole():
    defaults = TrainConfig()
    for group, schema in GROUPS.items():
        assert type(getattr(defaults, group)) is schema


def test_two_configs_share_no_list_or_mapping():
    first, second = TrainConfig(), TrainConfig()
    first.methods.append("dsink")
    first.optimisation.milestones.append(0.9)
    first.noise_teacher.settings["q"] = 0.7
    assert second == TrainConfig()


def test_nothing_is_corrupted_unless_a_config_says_so():
    assert (TrainConfig().noise.kind, TrainConfig().imbalance.factor) == ("none", 1.0)
