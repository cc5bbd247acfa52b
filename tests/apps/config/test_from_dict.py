from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from omegaconf.errors import OmegaConfBaseException
from tiny_run import tiny_config, tiny_distill_config

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.train_schemas import NoiseConfig, TrainConfig, TrainerConfig

#: With lists, nulls, mappings of any content, and values of more than one type.
TRAIN = (
    "methods=[ce,dsink]",
    "imbalance.class_order=[1,0,2,3,4,5,6,7,8,9]",
    "++objective.settings={a: 1.5, b: [1, null], c: {d: x}}",
    "trainer.devices=auto",
    "trainer.gradient_clip_val=1.0",
    "corruption_seed=3",
    "logger=csv",
    "ckpt_path=null",
    "checkpoint_every_seconds=null",
)
DISTILL = ("networks=[small_cnn,small_cnn]", "adsa.shrink_to=1.0", "views.flip=false", "views.crop_area=[0.5,1.0]")


@pytest.mark.parametrize("overrides", [(), TRAIN])
def test_settings_of_a_training_survive_a_file(tmp_path, overrides):
    config = tiny_config(tmp_path, *overrides)
    again = config_from_dict(TrainConfig, json.loads(json.dumps(asdict(config))))
    assert again == config
    assert isinstance(again.noise, NoiseConfig)
    assert isinstance(again.trainer, TrainerConfig)


@pytest.mark.parametrize("overrides", [(), DISTILL])
def test_settings_of_a_distillation_survive_a_file(tmp_path, overrides):
    config = tiny_distill_config(tmp_path, *overrides)
    again = config_from_dict(DistillConfig, json.loads(json.dumps(asdict(config))))
    assert again == config
    assert type(again.views) is type(config.views)


@pytest.mark.parametrize("devices", [2, "2", "auto"])
def test_a_value_of_two_types_keeps_its_own(tmp_path, devices):
    values = asdict(tiny_config(tmp_path))
    values["trainer"]["devices"] = devices
    found = config_from_dict(TrainConfig, values).trainer.devices
    assert (found, type(found)) == (devices, type(devices))


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [("noise", "ratio", "much"), ("trainer", "max_epochs", 1.5), ("data", "augment", "maybe"), (None, "methods", 3),
     (None, "seed", None), ("imbalance", "class_order", ["a"]), ("noise", "rate", 0.1), (None, "epochs", 3)],
)  # fmt: skip
def test_values_of_another_type_and_unknown_names_are_refused(tmp_path, group, key, value):
    values = asdict(tiny_config(tmp_path))
    (values if group is None else values[group])[key] = value
    with pytest.raises(OmegaConfBaseException, match=rf"(?s)(full_key: .*{key}|Key '{key}')"):
        config_from_dict(TrainConfig, values)


def test_the_values_themselves_stay_as_they_are(tmp_path):
    values = asdict(tiny_config(tmp_path))
    before = json.dumps(values)
    config_from_dict(TrainConfig, values).objective.settings["a"] = 1
    assert json.dumps(values) == before
