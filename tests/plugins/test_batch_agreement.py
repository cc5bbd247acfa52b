from __future__ import annotations

import pytest
import small_modules as m
import torch
from spawned_ranks import group_of_one
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lt_callbacks.plugins.batch_agreement import BatchAgreement, is_sized


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class SaysLength(Stream):
    def __len__(self):
        return 7


def test_one_process_agrees_with_itself():
    module = m.fresh(m.ReturnsTensor)
    with group_of_one():
        trainer = m.trainer(callbacks=[BatchAgreement()])
        trainer.fit(module, m.datamodule(2))
    assert trainer.global_step == 2


def test_the_length_of_loaders_in_any_form_is_known():
    loader = DataLoader(TensorDataset(torch.zeros(4)), batch_size=2)
    for loaders in (loader, [loader, loader], {"a": loader, "b": [loader]}):
        assert is_sized(loaders)


@pytest.mark.parametrize("dataset", [Stream(), SaysLength()])
def test_an_iterable_data_sets_length_is_not_known_whatever_it_says(dataset):
    loader = DataLoader(TensorDataset(torch.zeros(4)), batch_size=2)
    assert not is_sized(DataLoader(dataset))
    assert not is_sized([loader, DataLoader(dataset)])
    assert not is_sized(iter([1, 2, 3]))
