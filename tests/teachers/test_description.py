from __future__ import annotations

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch import nn
from user_project import UserNet

from lt_callbacks._files import canonical_json
from lt_callbacks.teachers.description import describe_training


def describe(network=None, **changes):
    settings = {"objective": "elr", "objective_settings": {}, "trainer": {"max_epochs": 3}, "batch_size": 8, "seed": 0}
    return describe_training(UserNet() if network is None else network, **{**settings, **changes})


def test_equal_trainings_have_equal_descriptions_that_json_can_hold():
    assert canonical_json(describe()) == canonical_json(describe())


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "gce"},
        {"objective_settings": {"beta": 0.9}},
        {"batch_size": 16},
        {"batch_size": None},
        {"seed": 1},
        {"network": UserNet(width=5)},
        {"network": UserNet(learning_rate=0.2)},
        *(
            {"trainer": {"max_epochs": 3, **options}}
            for options in (
                {"max_epochs": 4},
                {"max_steps": 10},
                {"limit_train_batches": 2},
                {"overfit_batches": 1},
                {"fast_dev_run": True},
                {"precision": "bf16-mixed"},
                {"gradient_clip_val": 1.0},
                {"accumulate_grad_batches": 2},
                {"callbacks": [StochasticWeightAveraging(0.1)]},
                {"callbacks": StochasticWeightAveraging(0.1)},
            )
        ),
    ],
)
def test_what_changes_the_teacher_changes_the_description(changes):
    assert canonical_json(describe(**changes)) != canonical_json(describe())


@pytest.mark.parametrize(
    "options",
    [{"enable_progress_bar": False}, {"accelerator": "cpu"}, {"default_root_dir": "/somewhere"}, {"callbacks": []}],
)
def test_where_it_runs_and_what_is_shown_does_not(options):
    assert describe(trainer={"max_epochs": 3, **options}) == describe()


def test_layers_count_that_no_weight_shows():
    def network(dropout: float) -> LightningModule:
        module = LightningModule()
        module.layers = nn.Sequential(nn.Linear(2, 2), nn.Dropout(dropout))
        return module

    assert describe(network(0.1)) == describe(network(0.1))
    assert describe(network(0.1)) != describe(network(0.5))


def test_addresses_of_objects_do_not_count():
    class Hyper(LightningModule):
        def __init__(self, criterion: object, rate: float) -> None:
            super().__init__()
            self.save_hyperparameters({"criterion": criterion, "rate": rate})

    class Thing:
        pass

    assert describe(Hyper(Thing(), 0.1)) == describe(Hyper(Thing(), 0.1))
    assert describe(Hyper(Thing(), 0.1)) != describe(Hyper(Thing(), 0.2))
