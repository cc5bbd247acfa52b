from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_module

from lt_callbacks.apps.config.build import build_datamodule, build_source
from lt_callbacks.apps.config.register import register_schemas
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.train.checks import check_settings


def composed(*overrides):
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose("train", overrides=["output=out", *overrides])


def test_a_composed_config_becomes_the_schemas_objects():
    config = typed(composed("data=cifar10", "noise.ratio=0.2"))
    assert isinstance(config, TrainConfig)
    assert (config.data.name, config.data.root, config.noise.ratio, config.num_seeds) == ("cifar10", "data", 0.2, 3)


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("data=csv_file", "data.train_csv"),
        ("data=arrays", "data.path"),
        ("noise=human", "noise.given_labels_file"),
        ("noise=custom", "noise.transition_file"),
        ("noise_teacher=checkpoint", "noise_teacher.checkpoint"),
        ("imbalance_teacher=checkpoint", "imbalance_teacher.checkpoint"),
        ("setting=???", "setting"),
    ],
)
def test_a_setting_without_a_default_is_asked_for(group, name):
    def check():
        config = typed(composed(group))
        check_settings(config)
        build_datamodule(config, build_source(config.data), seed=0)

    with pytest.raises(ValueError, match=rf"^`{re.escape(name)}` must be given"):
        check()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "+noise.ratoi=0.3",
            "`settings of noise` must be one of 'kind', 'ratio', .*; got 'ratoi'. Did you mean 'ratio'?",
        ),
        ("+dsink.logits_from=head", "`settings of dsink` must be one of 'alpha', .*; got 'logits_from'."),
        ("+num_seed=4", "`settings` must be one of 'data', .*; got 'num_seed'. Did you mean 'num_seeds'?"),
    ],
)
def test_a_setting_that_was_added_past_the_schema_is_refused(override, message):
    with pytest.raises(ValueError, match=f"^{message.replace('?', '[?]')}"):
        typed(composed(override))


def test_what_may_be_added_passes():
    config = typed(composed("+noise_teacher.settings.beta=0.5", "+callbacks.mine._target_=my.Callback"))
    assert config.noise_teacher.settings == {"beta": 0.5}
    assert config.callbacks["mine"] == {"_target_": "my.Callback"}


def test_a_reference_to_nothing_is_named():
    expected = (
        "`setting` must have a value; got an error: Interpolation key 'no_such_setting' not found. Correct the config."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        typed(composed("setting=${no_such_setting}"))
