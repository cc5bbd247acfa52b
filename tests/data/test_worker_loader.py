from __future__ import annotations

import pytest
import torch

from lt_callbacks.data import BatchView, EpochOrder, Source, WorkerDataset, WorkerLoader


def loader(source: Source, *, num_workers: int, batch_size: int = 7) -> WorkerLoader:
    view = BatchView(mean=source.mean, std=source.std, flip=True, seed=1)
    dataset = WorkerDataset(
        images=source.train.images,
        labels=torch.tensor(source.train.labels),
        image_size=(8, 8),
        view=view,
        file_crop="random",
    )
    sampler = EpochOrder(indices=torch.arange(len(source.train)), batch_size=batch_size, shuffle=True, seed=1)
    return WorkerLoader(dataset=dataset, sampler=sampler, num_workers=num_workers)


def test_workers_give_the_batches_of_the_main_process(file_source: Source):
    alone, parallel = loader(file_source, num_workers=0), loader(file_source, num_workers=2)
    for epoch in (0, 3):
        alone.sampler.set_epoch(epoch)
        parallel.sampler.set_epoch(epoch)
        pairs = list(zip(alone, parallel, strict=True))
        assert len(pairs) == 4
        for expected, got in pairs:
            assert isinstance(got, tuple)
            assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_a_view_follows_its_sample_into_other_batches(file_source: Source):
    def views(batch_size: int) -> dict[int, torch.Tensor]:
        batches = loader(file_source, num_workers=0, batch_size=batch_size)
        return {int(i): image for images, _, index in batches for i, image in zip(index, images, strict=True)}

    few, many = views(3), views(10)
    assert few.keys() == many.keys() == set(range(24))
    assert all(torch.equal(few[i], many[i]) for i in range(24))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_is_resumed_after_the_batches_that_were_given(file_source: Source, num_workers: int):
    # workers read ahead: what they prepared does not count as given
    first = loader(file_source, num_workers=num_workers)
    iterator = iter(first)
    next(iterator)
    resumed = loader(file_source, num_workers=num_workers)
    resumed.load_state_dict(first.state_dict())
    rest = [index.tolist() for _, _, index in iterator]
    assert [index.tolist() for _, _, index in resumed] == rest


def test_global_random_state_is_untouched(file_source: Source):
    state = torch.get_rng_state()
    list(loader(file_source, num_workers=0))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_broken_file_is_named(file_source: Source):
    file_source.train.images[3].write_bytes(b"")
    with pytest.raises(ValueError, match=r"03\.png must be an image file that Pillow can decode; got something else"):
        list(loader(file_source, num_workers=0))


def test_negative_workers_are_refused(file_source: Source):
    with pytest.raises(ValueError, match="`num_workers` must be an integer >= 0; got -1"):
        loader(file_source, num_workers=-1)
