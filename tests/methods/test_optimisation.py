from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lt_callbacks.methods import Optimisation


def factors(num_steps: int, **settings) -> list[float]:
    """Learning rate over its peak at every step of a training."""
    parameter = nn.Parameter(torch.zeros(1))
    configured = Optimisation(learning_rate=0.5, **settings).configure([parameter], num_steps=num_steps)
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("settings", "progress", "expected"),
    [
        ({"schedule": "cosine"}, 0.0, 1.0),
        ({"schedule": "cosine"}, 0.5, 0.5),
        ({"schedule": "cosine"}, 1 / 3, 0.75),
        ({"schedule": "cosine"}, 1.0, 0.0),
        ({"schedule": "cosine"}, 1.5, 0.0),
        ({"schedule": "cosine", "warmup": 0.2}, 0.0, 0.0),
        ({"schedule": "cosine", "warmup": 0.2}, 0.05, 0.25),
        ({"schedule": "cosine", "warmup": 0.2}, 0.2, 1.0),
        ({"schedule": "cosine", "warmup": 0.2}, 0.6, 0.5),
        ({"schedule": "cosine", "warmup": 0.2}, 1.0, 0.0),
        ({"schedule": "multistep"}, 0.49, 1.0),
        ({"schedule": "multistep"}, 0.5, 0.1),
        ({"schedule": "multistep"}, 0.74, 0.1),
        ({"schedule": "multistep"}, 0.75, 0.01),
        ({"schedule": "multistep"}, 1.0, 0.01),
        ({"schedule": "multistep", "milestones": (0.8,), "step_factor": 4.0}, 0.9, 0.25),
        ({"schedule": "multistep", "milestones": ()}, 0.9, 1.0),
        ({"schedule": "multistep", "warmup": 0.1}, 0.05, 0.5),
        ({"schedule": "constant"}, 0.0, 1.0),
        ({"schedule": "constant"}, 1.0, 1.0),
        ({"schedule": "constant", "warmup": 0.5}, 0.25, 0.5),
    ],
)
def test_known_values_of_the_rate(settings, progress, expected):
    assert Optimisation(**settings).rate_factor(progress) == pytest.approx(expected, abs=1e-12)


def test_every_step_of_a_cosine():
    expected = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert factors(8, schedule="cosine") == pytest.approx(expected)


def test_every_step_of_a_multistep_schedule():
    assert factors(8, schedule="multistep") == pytest.approx([1.0] * 4 + [0.1] * 2 + [0.01] * 2)


def test_a_warm_up_begins_above_zero_and_reaches_the_peak():
    got = factors(10, schedule="constant", warmup=0.4)
    assert got == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])


def test_an_empty_training_is_no_division_by_zero():
    configured = Optimisation().configure([nn.Parameter(torch.zeros(1))], num_steps=0)
    assert configured["optimizer"].param_groups[0]["lr"] == 0.1


def test_sgd_has_nesterov_momentum():
    settings = Optimisation(learning_rate=0.2, momentum=0.8, weight_decay=0.01)
    optimizer = settings.configure([nn.Parameter(torch.zeros(1))], num_steps=5)["optimizer"]
    assert isinstance(optimizer, torch.optim.SGD)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.2, 0.8, True, 0.01)


def test_sgd_without_momentum_is_plain():
    optimizer = Optimisation(momentum=0.0).configure([nn.Parameter(torch.zeros(1))], num_steps=5)["optimizer"]
    assert not optimizer.param_groups[0]["nesterov"]


def test_adamw():
    settings = Optimisation(optimizer="adamw", learning_rate=1e-3, weight_decay=0.05)
    optimizer = settings.configure([nn.Parameter(torch.zeros(1))], num_steps=5)["optimizer"]
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (1e-3, 0.05)


def test_milestones_of_a_config_file_become_a_tuple():
    assert Optimisation(milestones=[0.3, 0.6]) == Optimisation(milestones=(0.3, 0.6))
    assert hash(Optimisation(milestones=[0.3, 0.6]))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"optimizer": "adam"}, ValueError, "`optimizer` must be one of 'sgd', 'adamw'; got 'adam'. Did you mean"),
        ({"learning_rate": 0.0}, ValueError, "`learning_rate` must be a finite number > 0; got 0.0"),
        ({"learning_rate": "0.1"}, TypeError, "`learning_rate` must be a finite number > 0; got '0.1'"),
        ({"momentum": 1.0}, ValueError, "`momentum` must be a finite number >= 0 and < 1; got 1.0"),
        ({"weight_decay": -1.0}, ValueError, "`weight_decay` must be a finite number >= 0; got -1.0"),
        ({"schedule": "step"}, ValueError, "`schedule` must be one of 'cosine', 'multistep', 'constant'; got 'step'"),
        ({"warmup": 1.0}, ValueError, "`warmup` must be a finite number >= 0 and < 1; got 1.0"),
        ({"milestones": (0.5, 1.0)}, ValueError, "`milestones` must be a finite number > 0 and < 1; got 1.0"),
        ({"milestones": (0.7, 0.5)}, ValueError, r"`milestones` must ascend; got \(0.7, 0.5\). Give shares"),
        ({"milestones": (0.5, 0.5)}, ValueError, r"`milestones` must ascend; got \(0.5, 0.5\). Give shares"),
        ({"step_factor": 1.0}, ValueError, "`step_factor` must be a finite number > 1; got 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        Optimisation(**settings)
