from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lt_callbacks.teachers.positions import with_positions

IMAGES = torch.arange(10.0)[:, None]
LABELS = torch.arange(10) % 3


def test_each_batch_comes_with_the_positions_of_its_samples_and_is_otherwise_the_users():
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4, shuffle=True)
    seen = []
    for (images, labels), positions in with_positions(loader):
        assert images[:, 0].long().tolist() == positions.tolist()
        assert labels.tolist() == LABELS[positions].tolist()
        seen += positions.tolist()
    assert sorted(seen) == list(range(10))
    assert seen != list(range(10))


def test_the_users_own_collate_function_makes_the_batch():
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=5, collate_fn=lambda items: {"n": len(items)})
    batches = list(with_positions(loader))
    assert [batch for batch, _ in batches] == [{"n": 5}, {"n": 5}]
    assert [positions.tolist() for _, positions in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_the_order_is_that_of_the_users_own_generator():
    def loader():
        return DataLoader(
            TensorDataset(IMAGES, LABELS), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(3)
        )

    before = torch.get_rng_state()
    expected = torch.cat([images[:, 0] for images, _ in loader()]).tolist()
    assert torch.cat([positions for _, positions in with_positions(loader())]).tolist() == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_start_as_the_users_do(tmp_path):
    def start(worker):
        (tmp_path / str(worker)).touch()

    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=5, num_workers=2, worker_init_fn=start)
    assert torch.cat([positions for _, positions in with_positions(loader)]).tolist() == list(range(10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_a_dataset_that_gives_whole_batches_is_asked_for_them():
    class AtOnce(TensorDataset):
        asked: list[list[int]] = []

        def __getitems__(self, positions):
            self.asked.append(list(positions))
            return [self[position] for position in positions]

    dataset = AtOnce(IMAGES, LABELS)
    list(with_positions(DataLoader(dataset, batch_size=5)))
    assert dataset.asked == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(IMAGES, LABELS, strict=True)


@pytest.mark.parametrize(
    ("loader", "kind"),
    [
        (DataLoader(Stream(), batch_size=2), "a DataLoader over Stream with batch_size=2"),
        (DataLoader(TensorDataset(IMAGES), batch_size=None), "a DataLoader over TensorDataset with batch_size=None"),
        ([(IMAGES, LABELS)], "a list"),
    ],
)
def test_what_has_no_positions_is_refused(loader, kind):
    with pytest.raises(ValueError, match=rf"got no named index in the batches, and {kind} to which none can be added"):
        with_positions(loader)
