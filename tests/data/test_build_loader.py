from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lt_callbacks.data import DeviceLoader, EpochLoader, Source, WorkerLoader
from lt_callbacks.data.build_loader import build_loader


def build(source: Source, *, workers: int | None, augment: bool = True, **changes: object) -> EpochLoader:
    settings = {
        "images": source.train.images,
        "labels": torch.tensor(source.train.labels),
        "indices": np.arange(len(source.train)),
        "source": source,
        "augment": augment,
        "batch_size": 50,
        "shuffle": True,
        "seed": 3,
        "num_replicas": 1,
        "rank": 0,
        "workers": workers,
    }
    return build_loader(**{**settings, **changes})


def test_workers_and_device_give_the_same_batches(numbered_source: Source):
    source = replace(numbered_source, crop_padding=1, flip=True)
    on_device, by_workers = build(source, workers=None), build(source, workers=0)
    assert isinstance(on_device, DeviceLoader)
    assert isinstance(by_workers, WorkerLoader)
    for expected, got in zip(on_device, by_workers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_augmentation_is_the_source_s_and_only_when_asked_for(numbered_source: Source):
    source = replace(numbered_source, crop_padding=1)
    plain = torch.cat([images for images, _, _ in build(source, workers=None, augment=False)])
    moved = torch.cat([images for images, _, _ in build(source, workers=None)])
    assert not torch.equal(plain, moved)
    assert (plain == plain[:, :, :1, :1]).all()  # each image of one value: nothing was padded


@pytest.mark.parametrize(
    ("crop_padding", "augment", "expected"),
    [(0, True, "random"), (0, False, "center"), (2, True, "fit"), (2, False, "fit")],
)
def test_files_are_cropped_as_source_and_augmentation_say(
    file_source: Source, crop_padding: int, augment: bool, expected: str
):
    loader = build(replace(file_source, crop_padding=crop_padding), workers=0, augment=augment)
    dataset = loader._loader.dataset
    assert dataset.file_crop == expected
    assert dataset.view.crop_padding == (crop_padding if augment else 0)
    assert dataset.view.flip == augment
    assert next(iter(loader))[0].shape == (24, 3, 8, 8)


def test_files_without_workers_are_refused(file_source: Source):
    with pytest.raises(TypeError, match="`images` must be a tensor where there are no workers; got file paths. Pass"):
        build(file_source, workers=None)


def test_ranks_get_shares(numbered_source: Source):
    shares = [
        [i for _, _, index in build(numbered_source, workers=None, num_replicas=2, rank=rank) for i in index.tolist()]
        for rank in (0, 1)
    ]
    assert sorted(shares[0] + shares[1]) == list(range(300))
