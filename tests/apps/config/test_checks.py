from __future__ import annotations

import pytest

from lt_callbacks.apps.config.checks import check_run
from lt_callbacks.apps.config.distill_schemas import DistillConfig


def test_networks_that_are_looked_into_are_not_compiled():
    config = DistillConfig()
    config.model.compile = True
    with pytest.raises(ValueError, match="^`model.compile` must be false here, where networks are looked into"):
        check_run(config, num_roles=32)
