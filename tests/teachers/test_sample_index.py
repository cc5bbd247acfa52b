from __future__ import annotations

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset, default_collate
from user_project import images_and_labels

from lt_callbacks.data import LongTailedDataModule, add_index, digits
from lt_callbacks.teachers.sample_index import gives_index, indexed_dataset

PAIRS = TensorDataset(*images_and_labels())


@pytest.mark.parametrize("residence", ["device", "workers"])
def test_this_packages_loaders_do(residence):
    data = LongTailedDataModule(source=digits(), batch_size=64, residence=residence, num_workers=0)
    data.setup("fit")
    assert gives_index(data.train_dataloader())


def test_so_does_a_loader_over_add_index_and_a_subset_of_it():
    whole = add_index(PAIRS)
    for dataset in (whole, Subset(whole, [3, 5]), Subset(Subset(whole, [3, 5]), [1])):
        loader = DataLoader(dataset, batch_size=2, shuffle=True)
        assert gives_index(loader)
        assert indexed_dataset(loader) is whole


class Wrapped(torch.utils.data.Dataset):
    """May change the items."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, position):
        return self.dataset[position]


class Renumbered(Subset):
    """Changes the items, as a user's own subset may."""

    def __getitem__(self, position):
        return (*super().__getitem__(position)[:2], 0)

    def __getitems__(self, positions):
        return [self[position] for position in positions]


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(PAIRS),
        DataLoader(TensorDataset(*PAIRS.tensors, torch.arange(24))),
        DataLoader(Wrapped(add_index(PAIRS))),
        DataLoader(Renumbered(add_index(PAIRS), [3, 5])),
        # Each part counts from 0.
        DataLoader(ConcatDataset([add_index(PAIRS), add_index(PAIRS)])),
        DataLoader(add_index(PAIRS), collate_fn=lambda samples: default_collate(samples)),
        DataLoader(add_index(PAIRS), batch_size=None),
        [(torch.zeros(2, 3), torch.zeros(2), torch.arange(2))],
        None,
    ],
)
def test_of_others_nothing_is_certain(loader):
    assert not gives_index(loader)
