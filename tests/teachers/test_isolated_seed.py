from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch

from lt_callbacks.teachers.isolated_seed import isolated_seed


def draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002  # the global generators


@pytest.fixture(params=[None, "42"])
def seed_variable(request, monkeypatch):
    """Lightning's note of a seed for the ranks of a later fit; None: there was none."""
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    if request.param is not None:
        monkeypatch.setenv("PL_GLOBAL_SEED", request.param)
    return request.param


def test_the_block_is_seeded_and_the_caller_does_not_notice(seed_variable):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    with isolated_seed(5):
        first = draw()
        assert os.environ["PL_GLOBAL_SEED"] == "5"
    after = draw()
    with isolated_seed(5):
        assert draw() == first
    with isolated_seed(6):
        assert draw() != first
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    assert draw() == after
    assert os.environ.get("PL_GLOBAL_SEED") == seed_variable
    assert "PL_SEED_WORKERS" not in os.environ


def test_an_error_in_the_block_leaves_no_seed_behind(seed_variable):
    with pytest.raises(ZeroDivisionError), isolated_seed(5):
        raise ZeroDivisionError
    assert os.environ.get("PL_GLOBAL_SEED") == seed_variable
