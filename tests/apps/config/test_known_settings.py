from __future__ import annotations

import pytest

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.known_settings import refuse_unknown_settings
from lt_callbacks.apps.config.train_schemas import TrainConfig


@pytest.mark.parametrize("sign", ["", "+", "++", "~"])
def test_a_misspelt_setting_is_refused_by_the_nearest_one(sign):
    with pytest.raises(
        ValueError, match=r"^`settings of noise` must be one of .*; got 'ratoi'\. Did you mean 'ratio'\?$"
    ):
        refuse_unknown_settings(["data=digits", f"{sign}noise.ratoi=0.3"], TrainConfig)


def test_a_sweep_over_one_is_refused_too():
    with pytest.raises(ValueError, match="got 'facto'. Did you mean 'factor'"):
        refuse_unknown_settings(["-m", "imbalance.facto=10,100"], DistillConfig)


def test_a_misspelt_setting_of_two_lines_is_refused_too():
    with pytest.raises(ValueError, match="got 'facto'. Did you mean 'factor'"):
        refuse_unknown_settings(["imbalance.facto='1\n2'"], TrainConfig)


def test_the_schema_is_the_commands_own():
    refuse_unknown_settings(["student.num_passes=3"], DistillConfig)
    refuse_unknown_settings(["noise_teacher.settings.beta=1"], TrainConfig)


@pytest.mark.parametrize(
    "argument",
    [
        "noise.ratio=0.2",
        "++noise.ratio=0.2",
        "noise_teacher.settings.beta=0.7",
        "+callbacks.mine._target_=a.B",
        "~callbacks.proxy_label_monitor",
        "hydra.run.dir=a.b/c",
        "hydra/launcher=basic",
        "+experiment=a.b",
        "store=/a.b/c.d",
        "--config-dir=a.b",
        "--cfg",
        "seed=0,1",
    ],
)
def test_what_hydra_knows_more_of_passes(argument):
    refuse_unknown_settings([argument], TrainConfig)


def test_a_setting_cannot_be_removed():
    with pytest.raises(ValueError, match=r"^`noise\.ratio` must have a value; got ~noise\.ratio\. Set it"):
        refuse_unknown_settings(["~noise.ratio"], TrainConfig)


def test_a_misspelt_group_is_refused_too():
    with pytest.raises(ValueError, match=r"`settings` must be one of .*; got 'modl'\. Did you mean 'model'\?"):
        refuse_unknown_settings(["modl.name=resnet20"], TrainConfig)
