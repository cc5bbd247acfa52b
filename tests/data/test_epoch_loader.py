from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from lt_callbacks.data import EpochLoader, EpochOrder


class Counted(EpochLoader):
    """Batches of nothing but indices."""

    def _batches(self) -> Iterator[tuple[torch.Tensor, ...]]:
        for epoch, samples in self.sampler:
            yield torch.full_like(samples, epoch), samples, samples


def loader(batch_size: int = 4) -> Counted:
    return Counted(EpochOrder(indices=torch.arange(22), batch_size=batch_size, shuffle=True, seed=9))


def batches(source: Counted, epoch: int) -> list[list[int]]:
    source.sampler.set_epoch(epoch)
    return [index.tolist() for _, _, index in source]


def test_an_iterator_opened_before_the_epoch_is_set_takes_that_epoch():
    opened = loader()
    iterator = iter(opened)
    opened.sampler.set_epoch(5)
    assert [index.tolist() for _, _, index in iterator] == batches(loader(), 5)


@pytest.mark.parametrize("done", [1, 3, 5])
def test_a_resumed_epoch_goes_on_where_it_was_saved(done: int):
    first = loader()
    first.sampler.set_epoch(3)
    list(islice(first, done))
    state = first.state_dict()
    assert state == {"epoch": 3, "batches": done, "num_batches": 6}

    resumed = loader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert batches(resumed, 3) == batches(loader(), 3)[done:]
    # Once more is from the start.
    assert batches(resumed, 3) == batches(loader(), 3)
    assert batches(resumed, 4) == batches(loader(), 4)
    assert len(resumed) == 6


def test_a_finished_epoch_is_not_resumed():
    first = loader()
    everything = batches(first, 3)
    resumed = loader()
    resumed.load_state_dict(first.state_dict())
    assert batches(resumed, 3) == everything


def test_another_epoch_than_the_saved_one_starts_at_its_beginning():
    # so it is after `limit_train_batches` ended the saved epoch early
    first = loader()
    first.sampler.set_epoch(3)
    list(islice(first, 2))
    resumed = loader()
    resumed.load_state_dict(first.state_dict())
    assert batches(resumed, 4) == batches(loader(), 4)
    assert batches(resumed, 3) == batches(loader(), 3)


def test_a_state_of_other_batches_is_refused():
    first = loader()
    list(islice(first, 2))
    with pytest.raises(
        RuntimeError, match="saved after batch 2 of 6, but this loader has 3 batches an epoch. Resume with"
    ):
        loader(batch_size=8).load_state_dict(first.state_dict())
