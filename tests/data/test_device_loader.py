from __future__ import annotations

import pytest
import torch
from numbered_images import numbered_images, numbers_in

from lt_callbacks.data import BatchView, DeviceLoader, EpochOrder


def loader_of(num_images: int = 70, *, batch_size: int = 16, crop_padding: int = 0) -> DeviceLoader:
    return DeviceLoader(
        images=numbered_images(num_images),
        labels=torch.arange(num_images) % 5,
        sampler=EpochOrder(indices=torch.arange(num_images), batch_size=batch_size, shuffle=True, seed=2),
        view=BatchView(mean=(0.0, 0.0), std=(1.0, 1.0), crop_padding=crop_padding, seed=2),
    )


def test_image_label_and_index_belong_together():
    loader = loader_of()
    seen = []
    for images, labels, index in loader:
        assert (images.dtype, labels.dtype, index.dtype) == (torch.float32, torch.int64, torch.int64)
        assert numbers_in(images) == index.tolist()
        assert torch.equal(labels, index % 5)
        seen += index.tolist()
    assert seen != list(range(70))
    assert sorted(seen) == list(range(70))
    assert len(loader) == 5
    assert loader.batch_size == 16


def test_batches_are_tuples():
    assert isinstance(next(iter(loader_of())), tuple)


def test_views_follow_epoch_and_index_but_not_the_batch():
    def views(batch_size: int, epoch: int) -> dict[int, torch.Tensor]:
        loader = loader_of(batch_size=batch_size, crop_padding=2)
        loader.sampler.set_epoch(epoch)
        return {int(i): image for images, _, index in loader for i, image in zip(index, images, strict=True)}

    first, other_batches, other_epoch = views(16, 3), views(7, 3), views(16, 4)
    assert all(torch.equal(first[i], other_batches[i]) for i in range(70))
    assert any(not torch.equal(first[i], other_epoch[i]) for i in range(70))


def test_tensors_that_do_not_fit_are_refused():
    order, view = EpochOrder(indices=torch.arange(3), batch_size=2, shuffle=False), BatchView(mean=(0.0,), std=(1.0,))
    grey = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"`images` must be uint8 .* one of the 3 `labels` each; got torch.float32"):
        DeviceLoader(images=grey.float(), labels=torch.arange(3), sampler=order, view=view)
    with pytest.raises(ValueError, match=r"one of the 2 `labels` each; got torch.uint8, shape \(3, 1, 2, 2\)"):
        DeviceLoader(images=grey, labels=torch.arange(2), sampler=order, view=view)
    with pytest.raises(
        ValueError,
        match="must be on one device with `labels` and the sampler's indices; got meta, cpu and cpu. Move them",
    ):
        DeviceLoader(images=grey.to("meta"), labels=torch.arange(3), sampler=order, view=view)
