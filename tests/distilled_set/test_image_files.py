import math

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import random_images

from lt_callbacks.distilled_set.image_files import (
    channel_statistics,
    checked_size,
    png_bytes,
    read_images,
)


def saved(path, pixels, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).convert(mode).save(path)
    return path


def noise(height=6, width=6, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_bit(tmp_path, channels):
    images = random_images(3, channels, 5, 9)
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png_bytes(image))
    assert torch.equal(read_images(paths, None), images)


def test_images_are_channels_first_and_in_the_order_of_paths(tmp_path):
    pixels = [noise(4, 7, seed=seed) for seed in range(3)]
    paths = [saved(tmp_path / f"{seed}.png", array) for seed, array in enumerate(pixels)]
    found = read_images(paths[::-1], None)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert torch.equal(found, torch.from_numpy(np.stack(pixels[::-1])).permute(0, 3, 1, 2))


def test_grey_stays_grey_only_if_all_files_are(tmp_path):
    grey = saved(tmp_path / "grey.png", noise(), "L")
    colour = saved(tmp_path / "colour.png", noise())
    assert read_images([grey, grey], None).shape == (2, 1, 6, 6)
    mixed = read_images([grey, colour], None)
    assert mixed.shape == (2, 3, 6, 6)
    assert torch.equal(mixed[0, 0], mixed[0, 2])


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_modes_of_colours_become_rgb(tmp_path, mode):
    stored = Image.fromarray(noise()).convert(mode)
    path = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
    stored.save(path)
    expected = torch.from_numpy(np.array(stored.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(read_images([path], None)[0], expected)


def test_every_kind_of_grey_is_one_channel_of_8_bits(tmp_path):
    grey = noise(channels=1)[..., 0]
    kinds = {
        "8.png": Image.fromarray(grey),
        "16.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "float.tif": Image.fromarray((grey / 255).astype(np.float32)),
        "alpha.png": Image.merge("LA", [Image.fromarray(grey), Image.new("L", (6, 6), 255)]),
    }
    for name, image in kinds.items():
        image.save(tmp_path / name)
    found = read_images([tmp_path / name for name in kinds], None)
    assert found.shape == (4, 1, 6, 6)
    assert all(np.array_equal(image[0].numpy(), grey) for image in found)


def test_pictures_are_turned_before_sizes_are_compared_and_converted_before_they_are_resized(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    dotted = Image.fromarray(noise(6, 8)).convert("1")
    dotted.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    dotted.save(tmp_path / "bits.png")
    paths = [tmp_path / "turned.png", tmp_path / "bits.png"]
    assert read_images(paths, None).shape == (2, 3, 6, 8)
    small = read_images(paths, (3, 4))
    assert torch.equal(small[0], small[1])
    assert len(small.unique()) > 2


def test_sizes_that_differ_are_named_unless_one_is_asked_for(tmp_path):
    paths = [saved(tmp_path / "a.png", noise(6, 6)), saved(tmp_path / "b.png", noise(8, 4))]
    with pytest.raises(
        ValueError, match=r"`image_size` must be given .*width and height \(6, 6\) in .*a\.png and \(4, 8\) in .*b\.png"
    ):
        read_images(paths, None)
    found = read_images(paths, (3, 5))
    assert found.shape == (2, 3, 3, 5)
    with Image.open(paths[1]) as image:
        expected = np.asarray(image.resize((5, 3), Image.Resampling.BILINEAR))
    assert np.array_equal(found[1].permute(1, 2, 0).numpy(), expected)


def test_a_file_that_cannot_be_shown_is_named(tmp_path):
    good = saved(tmp_path / "good.png", noise())
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:60])
    for name in ("text", "cut"):
        with pytest.raises(ValueError, match=rf"{name}\.png must be an image file that Pillow can decode"):
            read_images([good, tmp_path / f"{name}.png"], None)
    Image.fromarray(np.full((4, 4), 40000, dtype=np.int32)).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match=r"deep\.tif must say which of its values are black and white"):
        read_images([tmp_path / "deep.tif"], None)


def test_statistics_are_those_of_the_pixels():
    images = random_images(5, 2, 7, 3)
    images[:, 1] = 9
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    assert mean[0] == pytest.approx(float(scaled[:, 0].mean()), rel=1e-12)
    assert std[0] == pytest.approx(float(scaled[:, 0].std(unbiased=False)), rel=1e-12)
    assert (mean[1], std[1]) == (pytest.approx(9 / 255), 1.0)
    assert all(math.isfinite(value) for value in (*mean, *std))


@pytest.mark.parametrize(("given", "expected"), [(None, None), (8, (8, 8)), ((4, 6), (4, 6)), ([4, 6], (4, 6))])
def test_a_size_is_one_side_or_two(given, expected):
    assert checked_size(given) == expected


@pytest.mark.parametrize("given", [0, (4, 0), (1, 2, 3), 2.5, "8"])
def test_a_size_that_is_none_is_refused(given):
    with pytest.raises((TypeError, ValueError), match="`image_size` must be"):
        checked_size(given)
