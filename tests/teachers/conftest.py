from __future__ import annotations

from typing import Any

import pytest
from user_project import QUIET, Steps, UserData, UserNet

from lt_callbacks.teachers import train_teachers


@pytest.fixture
def train(tmp_path):
    """Call `train_teachers` on the user's project; returns both teachers and what was trained for them."""

    def call(module: Any = UserNet, datamodule: Any = None, *, trainer: dict[str, Any] | None = None, **settings: Any):
        steps = Steps()
        teachers = train_teachers(
            module,
            UserData() if datamodule is None else datamodule,
            trainer={**QUIET, "callbacks": [steps], **(trainer or {})},
            **{"store": tmp_path / "store", **settings},
        )
        return teachers, steps

    return call
