from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.data.augment import BatchView, crop, crop_offsets, mirrored_samples

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def images_of(num_images: int, *, height: int = 6, width: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num_images, 3, height, width), dtype=torch.uint8, generator=generator)


def test_crop_equals_slices_of_the_padded_image():
    padding, images, index = 2, images_of(40), torch.arange(40)
    offsets, mirrored = crop_offsets(index, seed=1, epoch=2, padding=padding), mirrored_samples(index, seed=1, epoch=2)
    result = crop(images, offsets, padding=padding, mirrored=mirrored).numpy()
    for i, image in enumerate(images.numpy()):
        top, left = offsets[i].tolist()
        padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
        expected = padded[:, top : top + 6, left : left + 5]
        if mirrored[i]:
            expected = expected[:, :, ::-1]
        np.testing.assert_array_equal(result[i], expected)
    assert mirrored.any()
    assert not mirrored.all()


def test_crop_in_the_middle_is_the_image():
    images = images_of(3)
    assert torch.equal(crop(images, torch.full((3, 2), 4), padding=4), images)


def test_view_equals_the_formula_in_float64():
    images, index = images_of(16), torch.arange(16)
    view = BatchView(mean=MEAN, std=STD)
    scaled = images.double() / 255
    expected = (scaled - torch.tensor(MEAN).double().view(1, 3, 1, 1)) / torch.tensor(STD).double().view(1, 3, 1, 1)
    result = view(images, index, epoch=0)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(("crop_padding", "flip"), [(0, True), (2, False), (2, True)])
def test_view_of_a_sample_is_the_same_in_any_batch(crop_padding: int, flip: bool):
    images, view = images_of(60), BatchView(mean=MEAN, std=STD, crop_padding=crop_padding, flip=flip, seed=3)
    everything = view(images, torch.arange(60), epoch=4)
    some = torch.tensor([59, 2, 2, 17])
    assert torch.equal(view(images[some], some, epoch=4), everything[some])
    for other in (view(images, torch.arange(60), epoch=5), view(images, torch.arange(60) + 1, epoch=4)):
        assert not torch.equal(other, everything)
    reseeded = BatchView(mean=MEAN, std=STD, crop_padding=crop_padding, flip=flip, seed=4)
    assert not torch.equal(reseeded(images, torch.arange(60), epoch=4), everything)


def test_view_ignores_and_keeps_the_global_random_state():
    images, view = images_of(8), BatchView(mean=MEAN, std=STD, crop_padding=2, flip=True)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = view(images, torch.arange(8), epoch=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(view(images, torch.arange(8), epoch=0), first)


def test_view_leaves_the_stored_images_alone():
    images = images_of(8)
    stored = images.clone()
    BatchView(mean=MEAN, std=STD, crop_padding=2, flip=True)(images, torch.arange(8), epoch=0)
    assert torch.equal(images, stored)


def test_flip_without_crop_mirrors_the_chosen_samples():
    images, index = images_of(30), torch.arange(30)
    view = BatchView(mean=(0.0,) * 3, std=(1.0,) * 3, flip=True, seed=2)
    mirrored = mirrored_samples(index, seed=2, epoch=1)
    expected = torch.stack([image.flip(-1) if m else image for image, m in zip(images, mirrored, strict=True)])
    torch.testing.assert_close(view(images, index, epoch=1) * 255, expected.float())


def test_offsets_and_mirrorings_are_fair():
    index = torch.arange(18_000)
    offsets, mirrored = crop_offsets(index, seed=0, epoch=0, padding=4), mirrored_samples(index, seed=0, epoch=0)
    for side in offsets.unbind(1):
        counts = torch.bincount(side)
        assert len(counts) == 9
        assert (counts - 2000).abs().max() < 5 * 2000**0.5
    assert abs(mirrored.float().mean().item() - 0.5) < 5 * 0.5 / 18_000**0.5
    # rows, columns and mirrorings have streams of their own
    together = torch.corrcoef(torch.stack([*offsets.unbind(1), mirrored.long()]).double()).fill_diagonal_(0)
    assert together.abs().max() < 5 / 18_000**0.5


def test_one_image_and_no_image():
    view = BatchView(mean=MEAN, std=STD, crop_padding=2, flip=True)
    assert view(images_of(1), torch.tensor([5]), epoch=0).shape == (1, 3, 6, 5)
    assert view(images_of(0), torch.arange(0), epoch=0).shape == (0, 3, 6, 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_takes_the_same_crops():
    images, index = images_of(64), torch.arange(64)
    on_cpu = BatchView(mean=MEAN, std=STD, crop_padding=2, flip=True)(images, index, epoch=1)
    on_gpu = BatchView(mean=MEAN, std=STD, crop_padding=2, flip=True, device="cuda")(
        images.cuda(), index.cuda(), epoch=1
    )
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-6, rtol=0)
