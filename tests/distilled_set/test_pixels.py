import pytest
import torch
from small_sets import random_images
from torchvision.transforms.v2 import functional as transforms

from lt_callbacks.distilled_set import pixels


def padded_slice(image, row, column, padding, height, width):
    framed = torch.zeros(image.shape[0], height + 2 * padding, width + 2 * padding)
    framed[:, padding : padding + height, padding : padding + width] = image
    return framed[:, row : row + height, column : column + width]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width", "padding"), [(6, 9, 2), (224, 3, 4), (5, 5, 7), (1, 1, 1)])
def test_a_shifted_crop_is_a_slice_of_the_padded_image_in_every_bit(dtype, height, width, padding):
    images = random_images(4, 2, height, width, dtype=dtype)
    places = torch.arange(2 * padding + 1)
    offsets = torch.cartesian_prod(places, places)
    samples = torch.arange(len(offsets)) % 4
    mirrored = torch.arange(len(offsets)) % 3 == 1
    found = pixels.shifted(images, samples, offsets, padding=padding, mirrored=mirrored)
    assert found.dtype == torch.float32
    scaled = images.float() / 255 if dtype == torch.uint8 else images
    for b, (row, column) in enumerate(offsets.tolist()):
        expected = padded_slice(scaled[samples[b]], row, column, padding, height, width)
        assert torch.equal(found[b], expected.flip(-1) if mirrored[b] else expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 20), (1, 5)])
def test_a_resized_crop_is_torchvisions(dtype, height, width):
    images = random_images(5, 3, height, width, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    boxes = []
    for _ in range(60):
        box_height, box_width = (int(torch.randint(1, full + 1, (), generator=generator)) for full in (height, width))
        top, left = (
            int(torch.randint(0, full - side + 1, (), generator=generator))
            for full, side in ((height, box_height), (width, box_width))
        )
        boxes.append((top, left, box_height, box_width))
    boxes.append((0, 0, height, width))
    samples = torch.arange(len(boxes)) % 5
    mirrored = torch.arange(len(boxes)) % 2 == 1
    found = pixels.resized(images, samples, torch.tensor(boxes), mirrored=mirrored)
    scaled = images.float() / 255 if dtype == torch.uint8 else images
    for b, (top, left, box_height, box_width) in enumerate(boxes):
        expected = transforms.resized_crop(
            scaled[samples[b]], top, left, box_height, box_width, [height, width], antialias=True
        )
        expected = expected.flip(-1) if mirrored[b] else expected
        torch.testing.assert_close(found[b], expected, rtol=0, atol=1e-5)


def test_a_crop_shows_nothing_from_beyond_its_box():
    images = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    images[..., 8:16, 4:20] = 255
    found = pixels.resized(images, torch.tensor([0]), torch.tensor([[8, 4, 8, 16]]), mirrored=torch.tensor([False]))
    assert float(found.min()) > 1 - 1e-5


def test_whole_images_are_exact():
    images = random_images()
    found = pixels.whole(images, torch.tensor([5, 2, 5]), mirrored=torch.tensor([False, True, True]))
    scaled = images.float() / 255
    assert torch.equal(found, torch.stack([scaled[5], scaled[2].flip(-1), scaled[5].flip(-1)]))


def test_a_batch_may_be_empty():
    images = random_images()
    nothing = torch.zeros(0, dtype=torch.int64)
    mirrored = nothing.bool()
    assert pixels.whole(images, nothing, mirrored=mirrored).shape == (0, 3, 8, 8)
    assert pixels.resized(images, nothing, nothing.view(0, 1).expand(0, 4), mirrored=mirrored).shape == (0, 3, 8, 8)
    shifted = pixels.shifted(images, nothing, nothing.view(0, 1).expand(0, 2), padding=1, mirrored=mirrored)
    assert shifted.shape == (0, 3, 8, 8)


def test_pasting_takes_the_partners_pixels_inside_the_box_only():
    own, partner = torch.rand(5, 2, 6, 7), torch.rand(5, 2, 6, 7)
    boxes = [(0, 0, 6, 7), (2, 3, 2, 3), (1, 2, 4, 6), (0, 5, 6, 7), (3, 1, 5, 1)]
    found = pixels.pasted(own, partner, torch.tensor(boxes))
    for b, (top, left, bottom, right) in enumerate(boxes):
        expected = own[b].clone()
        expected[:, top:bottom, left:right] = partner[b, :, top:bottom, left:right]
        assert torch.equal(found[b], expected)


def test_bytes_become_shares_of_255_and_floats_stay():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(pixels.as_float(values), torch.arange(256).float() / 255)
    floats = torch.rand(3)
    assert pixels.as_float(floats) is floats


def test_the_default_dtype_of_the_process_does_not_count():
    images, samples = random_images(), torch.arange(12)
    boxes = torch.tensor([[1, 2, 5, 3]]).expand(12, 4)
    mirrored = samples % 2 == 0
    expected = pixels.resized(images, samples, boxes, mirrored=mirrored)
    torch.set_default_dtype(torch.float64)
    try:
        found = pixels.resized(images, samples, boxes, mirrored=mirrored)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
