from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from lt_callbacks.data.image_file import center_crop, random_crop_box, random_resized_crop


def test_crop_boxes_stay_inside_and_have_the_areas_and_ratios_of_the_recipe():
    areas, ratios = [], []
    for index in range(2000):
        top, left, height, width = random_crop_box(250, 300, index=index, seed=0, epoch=1)
        assert 0 <= top <= 250 - height
        assert 0 <= left <= 300 - width
        areas.append(height * width / 75_000)
        ratios.append(width / height)
    # rounding to pixels moves the small ones by some percent
    assert 0.07 < min(areas) < 0.1
    assert max(areas) > 0.9
    assert 0.7 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.4
    assert abs(np.mean(np.log(ratios))) < 0.03


def test_crop_boxes_reach_every_border():
    boxes = [random_crop_box(20, 20, index=index, seed=0, epoch=0) for index in range(500)]
    assert min(top for top, _, _, _ in boxes) == 0
    assert max(top + height for top, _, height, _ in boxes) == 20
    assert min(left for _, left, _, _ in boxes) == 0
    assert max(left + width for _, left, _, width in boxes) == 20


def test_crop_box_depends_on_seed_epoch_and_index_alone():
    torch.manual_seed(1)
    first = random_crop_box(100, 100, index=4, seed=2, epoch=3)
    torch.manual_seed(2)
    assert random_crop_box(100, 100, index=4, seed=2, epoch=3) == first
    others = [(5, 2, 3), (4, 3, 3), (4, 2, 4)]
    assert all(random_crop_box(100, 100, index=i, seed=s, epoch=e) != first for i, s, e in others)


@pytest.mark.parametrize(("height", "width"), [(2, 400), (400, 2), (1, 1)])
def test_very_long_images_give_a_box_of_an_allowed_ratio(height: int, width: int):
    for index in range(30):
        top, left, box_height, box_width = random_crop_box(height, width, index=index, seed=0, epoch=0)
        assert 0 <= top <= height - box_height
        assert 0 <= left <= width - box_width
        assert min(box_height, box_width) >= 1
        assert max(box_height, box_width) <= math.ceil(min(height, width) * 4 / 3)


def test_random_resized_crop_resizes_the_box():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8))
    top, left, height, width = random_crop_box(50, 60, index=1, seed=2, epoch=3)
    cut = image.crop((left, top, left + width, top + height)).resize((8, 9), Image.Resampling.BILINEAR)
    result = random_resized_crop(image, (9, 8), index=1, seed=2, epoch=3)
    assert result.dtype == torch.uint8
    assert torch.equal(result, torch.from_numpy(np.array(cut)).permute(2, 0, 1))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 64), (64, 100), (3, 90), (7, 7)])
def test_center_crop_has_the_size_whatever_the_image(height: int, width: int):
    assert center_crop(Image.new("RGB", (width, height)), (32, 24)).shape == (3, 32, 24)


def test_center_crop_keeps_the_middle():
    # 256 wide and black but for the middle 224: the border is what the crop takes away
    pixels = np.zeros((256, 256, 3), dtype=np.uint8)
    pixels[16:240, 16:240] = 200
    assert (center_crop(Image.fromarray(pixels), (224, 224)) == 200).all()
    whole = center_crop(Image.fromarray(pixels), (256, 256), resize=1.0)
    assert torch.equal(whole, torch.from_numpy(pixels).permute(2, 0, 1))
