from __future__ import annotations

import pytest

from lt_callbacks.apps.config.checks import check_run
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig


def test_networks_that_are_looked_into_are_not_compiled():
    config = DistillConfig()
    config.model.compile = True
    with pytest.raises(ValueError, match="^`model.compile` must be false here, where networks are looked into"):
        check_run(config, num_roles=32)


@pytest.mark.parametrize("make", [TrainConfig, DistillConfig])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_gradients_are_clipped_at_a_norm_or_not_at_all(make, value):
    """Lightning takes all of these, and trains on."""
    config = make()
    config.trainer.gradient_clip_val = value
    with pytest.raises(
        ValueError, match=r"^`trainer\.gradient_clip_val` must be a finite number >= 0; got .* null or 0"
    ):
        check_run(config, num_roles=32)
    for allowed in (None, 0.0, 2.5):
        config.trainer.gradient_clip_val = allowed
        check_run(config, num_roles=32)
