from __future__ import annotations

import pytest
import torch
from numbered_images import numbered_images, numbers_in

from lt_callbacks._pictures import read_picture
from lt_callbacks.data import BatchKey, BatchView, Source, WorkerDataset
from lt_callbacks.data.image_file import center_crop, random_resized_crop


def files(source: Source, file_crop: str, *, flip: bool = False, crop_padding: int = 0, seed: int = 1) -> WorkerDataset:
    view = BatchView(mean=source.mean, std=source.std, flip=flip, crop_padding=crop_padding, seed=seed)
    return WorkerDataset(
        images=source.train.images,
        labels=torch.tensor(source.train.labels),
        image_size=(8, 8),
        view=view,
        file_crop=file_crop,
    )


def test_images_in_memory_are_batched_by_key():
    dataset = WorkerDataset(
        images=numbered_images(30),
        labels=torch.arange(30) % 4,
        image_size=(4, 4),
        view=BatchView(mean=(0.0, 0.0), std=(1.0, 1.0)),
        file_crop="center",
    )
    images, labels, index = dataset[BatchKey(0, torch.tensor([7, 29, 0]))]
    assert numbers_in(images) == index.tolist() == [7, 29, 0]
    assert labels.tolist() == [3, 1, 0]
    assert len(dataset) == 30


@pytest.mark.parametrize("file_crop", ["random", "center", "fit"])
def test_files_are_cut_as_asked_then_viewed(file_source: Source, file_crop: str):
    images, labels, index = files(file_source, file_crop)[BatchKey(2, torch.tensor([5, 20]))]
    for row, position in enumerate([5, 20]):
        image = read_picture(file_source.train.images[position])
        expected = {
            "random": lambda image=image, i=position: random_resized_crop(image, (8, 8), index=i, seed=1, epoch=2),
            "center": lambda image=image: center_crop(image, (8, 8)),
            "fit": lambda image=image: center_crop(image, (8, 8), resize=1.0),
        }[file_crop]()
        torch.testing.assert_close(images[row], (expected.float() / 255 - 0.5) / 0.25, atol=1e-5, rtol=0)
    assert labels.tolist() == [1, 0]
    assert index.tolist() == [5, 20]


def test_views_of_files_do_not_depend_on_the_batch(file_source: Source):
    dataset = files(file_source, "random", flip=True)
    together, _, _ = dataset[BatchKey(3, torch.arange(24))]
    alone, _, _ = dataset[BatchKey(3, torch.tensor([9]))]
    assert torch.equal(alone[0], together[9])
    later, _, _ = dataset[BatchKey(4, torch.arange(24))]
    assert not torch.equal(later, together)


def test_what_does_not_fit_is_refused(file_source: Source):
    with pytest.raises(
        ValueError, match="`file_crop` must be one of 'random', 'center', 'fit'; got 'centre'. Did you mean"
    ):
        files(file_source, "centre")
    view = BatchView(mean=(0.0,), std=(1.0,))
    with pytest.raises(ValueError, match="`images` must be as many as `labels`; got 24 and 3. Pass one label"):
        WorkerDataset(
            images=file_source.train.images, labels=torch.arange(3), image_size=(8, 8), view=view, file_crop="fit"
        )
