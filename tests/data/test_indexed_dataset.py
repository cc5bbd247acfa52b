from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lt_callbacks.data import IndexedDataset, add_index


def test_the_index_follows_the_sample_under_any_order():
    dataset = add_index(TensorDataset(torch.arange(20.0), torch.arange(20) % 3))
    generator = torch.Generator().manual_seed(0)
    seen = []
    for image, label, index in DataLoader(dataset, batch_size=6, shuffle=True, generator=generator):
        assert torch.equal(image.long(), index)
        assert torch.equal(label, index % 3)
        seen += index.tolist()
    assert seen != sorted(seen)
    assert sorted(seen) == list(range(20))


def test_a_plain_list_is_a_dataset_too():
    dataset = add_index([("x", 0), ("y", 1)])
    assert isinstance(dataset, IndexedDataset)
    assert list(dataset) == [("x", 0, 0), ("y", 1, 1)]
    assert dataset[-1] == ("y", 1, 1)
    assert len(dataset) == 2


def test_errors_name_the_item():
    with pytest.raises(IndexError, match="`index` must be below 2; got 2. Use a sampler"):
        add_index([("x", 0), ("y", 1)])[2]
    with pytest.raises(
        ValueError, match=r"`dataset` must have pairs \(image, label\) as items; got 3 values as item 0. Wrap it"
    ):
        add_index([("x", 0, 7)])[0]
    with pytest.raises(ValueError, match="got str as item 1. Wrap it"):
        add_index([("x", 0), "xy"])[1]


def test_streams_are_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(TypeError, match="`dataset` must be map-style, .*; got Stream. Turn a stream into a list"):
        add_index(Stream())
