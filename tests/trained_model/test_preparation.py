from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import write_picture
from torchvision.transforms import v2

from lt_callbacks._pictures import read_picture
from lt_callbacks.data import BatchView, WorkerDataset, arrays, image_folder
from lt_callbacks.data.build_loader import build_loader
from lt_callbacks.trained_model.preparation import preparation

SIZES = [(40, 60), (60, 40), (24, 32), (9, 7), (300, 41), (33, 33), (128, 127)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def files(tmp_path):
    return tuple(
        write_picture(tmp_path / f"{number}.{ending}", size=size, seed=number)
        for number, (size, ending) in enumerate(
            zip(SIZES, ["png", "jpg", "webp", "png", "bmp", "jpg", "png"], strict=True)
        )
    )


@pytest.mark.parametrize("image_size", [(24, 32), (32, 32)])
@pytest.mark.parametrize(("file_crop", "resize"), [("center", 256 / 224), ("fit", 1.0)])
def test_a_file_is_prepared_as_the_evaluation_loader_does(files, image_size, file_crop, resize):
    view = BatchView(mean=MEAN, std=STD)
    dataset = WorkerDataset(
        images=files,
        labels=torch.zeros(len(files), dtype=torch.int64),
        image_size=image_size,
        view=view,
        file_crop=file_crop,
    )
    expected, _, _ = dataset[0, torch.arange(len(files))]
    prepare = preparation(image_size=image_size, resize=resize, mean=MEAN, std=STD)
    prepared = torch.stack([prepare(Image.open(file)) for file in files])
    assert prepared.dtype == torch.float32
    assert type(prepared) is torch.Tensor
    assert prepared.std() > 0.3
    torch.testing.assert_close(prepared, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("crop_padding", [0, 2])
def test_it_is_what_a_loader_of_a_folder_gives_out(tmp_path, crop_padding):
    """Through the whole data set, so that a change of its evaluation is seen here."""
    for number, size in enumerate(SIZES):
        write_picture(tmp_path / "train" / "cat" / f"{number}.png", size=size, seed=number)
    write_picture(tmp_path / "train" / "dog" / "0.png", size=SIZES[0], seed=len(SIZES))
    source = image_folder(root=tmp_path, image_size=32, crop_padding=crop_padding)
    num_images = len(source.train)
    loader = build_loader(
        images=source.train.images, labels=torch.zeros(num_images, dtype=torch.int64), indices=np.arange(num_images),
        source=source, augment=False, batch_size=8, shuffle=False, seed=0, num_replicas=1, rank=0, workers=0,
    )  # fmt: skip
    ((images, _, _),) = list(loader)
    resize = 1.0 if crop_padding else 256 / 224
    prepare = preparation(image_size=(32, 32), resize=resize, mean=source.mean, std=source.std)
    prepared = torch.stack([prepare(Image.open(file)) for file in source.train.images])
    torch.testing.assert_close(prepared, images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_the_networks_size_are_only_normalised(tmp_path, channels):
    pixels = torch.randint(0, 256, (20, 12, 9, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.savez(tmp_path / "a.npz", train_images=pixels.numpy(), train_labels=np.arange(20) % 2)
    source = arrays(path=tmp_path / "a.npz")
    stored = source.train.images
    expected = BatchView(mean=source.mean, std=source.std)(stored, torch.arange(20), epoch=0)
    prepare = preparation(image_size=(12, 9), resize=1.0, mean=source.mean, std=source.std)
    torch.testing.assert_close(torch.stack([prepare(image) for image in stored]), expected, atol=1e-6, rtol=0)


def test_a_network_for_grey_sees_pictures_in_grey(tmp_path):
    colour = Image.open(write_picture(tmp_path / "a.png", size=(8, 8)))
    prepared = preparation(image_size=(8, 8), resize=1.0, mean=(0.5,), std=(0.5,))(colour)
    grey = torch.tensor(np.asarray(colour.convert("L")), dtype=torch.float64)
    torch.testing.assert_close(prepared[0].double(), grey / 127.5 - 1, atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_that_is_opened_already_is_seen_as_its_file_is(tmp_path, channels):
    """Turned as EXIF says, and laid on white where it is transparent."""
    picture = Image.open(write_picture(tmp_path / "a.png", size=(24, 32)))
    picture.putalpha(90)
    exif = Image.Exif()
    exif[0x0112] = 8
    picture.save(tmp_path / "b.png", exif=exif)
    prepare = preparation(image_size=(32, 24), resize=1.0, mean=(0.5,) * channels, std=(0.5,) * channels)
    expected = prepare(read_picture(tmp_path / "b.png"))
    torch.testing.assert_close(prepare(Image.open(tmp_path / "b.png")), expected, atol=0, rtol=0)


def test_it_is_made_of_torchvisions_transforms():
    prepare = preparation(image_size=(8, 8), resize=1.0, mean=MEAN, std=STD)
    assert isinstance(prepare, v2.Compose)
    assert isinstance(prepare.transforms[-1], v2.Normalize)


@pytest.mark.parametrize(
    ("channels", "picture", "message"),
    [
        (3, "cat.png", "`picture` must be a PIL image, or a tensor of pixels; got str. Open a file"),
        (5, Image.new("RGB", (8, 8)), "`picture` must be a tensor for this network, whose images have 5 channels; got a PIL"),
        (3, torch.zeros(1, 8, 8, dtype=torch.uint8), r"must be a \(3, H, W\) tensor of uint8 pixels; got shape \(1, 8, 8\)"),
        (3, torch.zeros(3, 8, 8), r"got shape \(3, 8, 8\), torch.float32. Pass pixels from 0 to 255"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(channels, picture, message):
    prepare = preparation(image_size=(8, 8), resize=1.0, mean=(0.5,) * channels, std=(0.5,) * channels)
    with pytest.raises((TypeError, ValueError), match=message):
        prepare(picture)
