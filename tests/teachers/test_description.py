from __future__ import annotations

import inspect
from dataclasses import fields, replace

import pytest
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from user_project import UserNet

from lt_callbacks._files import canonical_json
from lt_callbacks.methods import Optimisation
from lt_callbacks.teachers import TeacherStore
from lt_callbacks.teachers.description import (
    TRAINER_FIELDS,
    TrainingDescription,
    describe_module,
    describe_trainer,
)


def describe(network=None, *, trainer=None, **changes) -> TrainingDescription:
    settings = {"data": "a" * 64, "objective": "elr", "objective_settings": {}, "batch_size": 8, "start_seed": 0}
    module = describe_module(UserNet() if network is None else network)
    more = describe_trainer({"max_epochs": 3} if trainer is None else trainer)
    return TrainingDescription(**{**settings, "module": module, **more, **changes})


def test_equal_trainings_have_equal_descriptions_that_json_can_hold():
    assert canonical_json(describe().settings()) == canonical_json(describe().settings())
    assert describe().key == describe().key == TeacherStore.key(describe().settings(), "a" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "gce"},
        {"objective_settings": {"beta": 0.9}},
        {"batch_size": 16},
        {"batch_size": None},
        {"start_seed": 1},
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
                {"plugins": [MixedPrecision("bf16-mixed", "cpu")]},
            )
        ),
    ],
)
def test_what_changes_the_teacher_changes_the_description(changes):
    assert canonical_json(describe(**changes).settings()) != canonical_json(describe().settings())


#: A value of each field that is not the one above.
VALUES = {
    "data": "b" * 64,
    "objective": "gce",
    "objective_settings": {"beta": 0.5},
    "start_seed": 3,
    "model": "resnet20",
    "width": 8,
    "module": {"class": "another"},
    "channels_last": True,
    "optimisation": vars(Optimisation()),
    "batch_size": 9,
    "num_ranks": 2,
    "sampling": {"sampler": "RandomSampler"},
    "transforms": ["RandomCrop()"],
    "data_seed": 5,
    "max_epochs": 7,
    "min_epochs": 1,
    "max_steps": 10,
    "min_steps": 2,
    "max_time": "{'hours': 1}",
    "limit_train_batches": 0.5,
    "overfit_batches": 2,
    "fast_dev_run": True,
    "accumulate_grad_batches": 2,
    "gradient_clip_val": 1.0,
    "gradient_clip_algorithm": "value",
    "precision": "bf16-mixed",
    "callbacks": ["StochasticWeightAveraging"],
    "plugins": ["MixedPrecision"],
    "pipeline": {"module": ["on_after_batch_transfer"]},
}


@pytest.mark.parametrize("field", [field.name for field in fields(TrainingDescription)])
def test_every_field_is_a_part_of_the_key(field):
    assert replace(describe(), **{field: VALUES[field]}).key != describe().key


def test_what_nothing_was_said_of_is_not_in_the_key():
    """A field that is added later, None for the networks of before, leaves their keys as they are."""
    settings = describe().settings()
    assert settings.keys() == {
        "objective",
        "objective_settings",
        "start_seed",
        "module",
        "batch_size",
        "num_ranks",
        "max_epochs",
    }


def test_a_mapping_counts_by_its_content():
    first, second = (describe(optimisation=dict(pairs)) for pairs in ([("a", 1), ("b", 2)], [("b", 2), ("a", 1)]))
    assert first.key == second.key
    # JSON has no tuples.
    assert describe(optimisation={"milestones": (0.5,)}).key == describe(optimisation={"milestones": [0.5]}).key


def test_without_an_identity_of_the_data_there_is_no_key():
    with pytest.raises(RuntimeError, match="cannot be stored whose training data has no identity. Give it a `fing"):
        _ = describe(data=None).key


def test_fields_of_the_trainer_are_its_arguments():
    assert set(TRAINER_FIELDS) <= {field.name for field in fields(TrainingDescription)}
    assert set(TRAINER_FIELDS) <= inspect.signature(Trainer).parameters.keys()


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


@pytest.mark.parametrize("value", [[30, 60], (0.9, 0.99), {"decay": 0.1}, "sgd", None, True])
def test_attributes_count_that_are_made_of_numbers_and_texts(value):
    def network(attribute: object) -> LightningModule:
        module = LightningModule()
        module.option = attribute
        return module

    assert describe(network(value)) == describe(network(value))
    assert describe(network(value)) != describe(network("another"))


def test_addresses_of_objects_do_not_count():
    class Hyper(LightningModule):
        def __init__(self, criterion: object, rate: float) -> None:
            super().__init__()
            self.save_hyperparameters({"criterion": criterion, "rate": rate})

    class Thing:
        pass

    assert describe(Hyper(Thing(), 0.1)) == describe(Hyper(Thing(), 0.1))
    assert describe(Hyper(Thing(), 0.1)) != describe(Hyper(Thing(), 0.2))
