from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lt_callbacks.teachers import TeacherStore
from lt_callbacks.teachers.description import TrainingDescription
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.train_network import train_network

DESCRIPTION = TrainingDescription(data="a" * 64, model="linear", objective="gce", objective_settings={}, start_seed=7)


def make() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


class Training:
    """Adds a number from the generators to the weights; returns how often it did."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module: nn.Module) -> str:
        self.count += 1
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += torch.rand(())
        return f"trained {self.count} times"


def state(module: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


def test_it_is_trained_once_and_then_found(tmp_path):
    store, train = TeacherStore(tmp_path), Training()
    first = train_network(make, train, description=DESCRIPTION, store=store)
    again = train_network(make, train, description=DESCRIPTION, store=store)
    assert (first.is_reused, first.outcome) == (False, "trained 1 times")
    assert (again.is_reused, again.outcome) == (True, None)
    assert train.count == 1
    assert torch.equal(state(first.module), state(again.module))
    assert (tmp_path / DESCRIPTION.key / "teacher.safetensors").is_file()


@pytest.mark.parametrize("changes", [{"objective": "elr"}, {"data": "b" * 64}, {"start_seed": 8}])
def test_another_description_is_another_network(tmp_path, changes):
    store, train = TeacherStore(tmp_path), Training()
    first = train_network(make, train, description=DESCRIPTION, store=store)
    other = train_network(make, train, description=replace(DESCRIPTION, **changes), store=store)
    assert not other.is_reused
    assert torch.equal(state(first.module), state(other.module)) is ("start_seed" not in changes)


def test_making_and_training_draw_from_one_seed_and_leave_no_trace():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = train_network(make, Training(), description=DESCRIPTION, store=None)
    assert torch.equal(torch.get_rng_state(), before)
    with isolated_seed(7):
        expected = make()
        Training()(expected)
    assert torch.equal(state(found.module), state(expected))


@pytest.mark.parametrize("is_nameless", [False, True])
def test_without_a_store_or_a_name_for_the_data_it_is_trained_every_time(tmp_path, is_nameless):
    store, train = (TeacherStore(tmp_path), Training()) if is_nameless else (None, Training())
    description = replace(DESCRIPTION, data=None) if is_nameless else DESCRIPTION
    for _ in range(2):
        assert not train_network(make, train, description=description, store=store).is_reused
    assert train.count == 2
    assert not list(tmp_path.iterdir())


def test_a_part_of_the_module_may_be_what_is_kept(tmp_path):
    def whole() -> nn.ModuleDict:
        return nn.ModuleDict({"network": make(), "memory": nn.Linear(4, 4)})

    store, train = TeacherStore(tmp_path), Training()
    first = train_network(
        whole, train, description=DESCRIPTION, store=store, stored_part=lambda module: module["network"]
    )
    alone = train_network(make, train, description=DESCRIPTION, store=store)
    assert alone.is_reused
    assert torch.equal(state(alone.module), state(first.module["network"]))


def test_weights_come_back_in_the_dtypes_that_they_were_made_with(tmp_path):
    def train(module: nn.Module) -> None:
        module.to(torch.bfloat16)
        # As an objective's memory of the samples.
        module.register_buffer("memory", torch.zeros(3, dtype=torch.float64), persistent=False)

    store = TeacherStore(tmp_path)
    first, again = (train_network(make, train, description=DESCRIPTION, store=store) for _ in range(2))
    assert (first.is_reused, again.is_reused) == (False, True)
    for found in (first, again):
        assert {value.dtype for value in found.module.parameters()} == {torch.float32}
        assert found.module[1].num_batches_tracked.dtype == torch.int64
    assert torch.equal(state(first.module), state(again.module))
    assert first.module.memory.dtype == torch.float64


def test_a_training_that_fails_keeps_nothing(tmp_path):
    def fail(module: nn.Module) -> None:
        raise KeyError("out of memory")

    store = TeacherStore(tmp_path)
    with pytest.raises(KeyError, match="out of memory"):
        train_network(make, fail, description=DESCRIPTION, store=store)
    assert not train_network(make, Training(), description=DESCRIPTION, store=store).is_reused
