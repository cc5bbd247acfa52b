from __future__ import annotations

import pytest
import torch
from PIL import Image
from small_models import saved, write_picture

from lt_callbacks import load_model
from lt_callbacks.trained_model import predict_files


@pytest.fixture
def model(tmp_path):
    folder, _ = saved(tmp_path / "model")
    return load_model(folder)


def test_pictures_are_predicted_from_paths_pictures_and_pixels_alike(tmp_path, model):
    files = [write_picture(tmp_path / f"{number}.png", size=(24, 32), seed=number) for number in range(5)]
    pictures = [Image.open(file) for file in files]
    pixels = [
        torch.tensor(bytearray(picture.tobytes()), dtype=torch.uint8).view(24, 32, 3).permute(2, 0, 1)
        for picture in pictures
    ]
    expected = model(torch.stack([model.preprocess(picture) for picture in pictures])).softmax(dim=1)
    assert expected.std(dim=0).max() > 1e-3
    for given in (files, [str(file) for file in files], pictures, pixels):
        for batch_size in (2, 64):
            probs = model.predict(given, batch_size=batch_size)
            assert (probs.shape, probs.dtype) == ((5, 3), torch.float32)
            torch.testing.assert_close(probs, expected, atol=1e-6, rtol=0)
    for alone in (str(files[1]), files[1], pictures[1], pixels[1]):
        torch.testing.assert_close(model.predict(alone), expected[1:2], atol=1e-6, rtol=0)


def test_a_picture_that_was_stored_turned_is_turned_once(tmp_path, model):
    upright = Image.open(write_picture(tmp_path / "upright.png", size=(24, 32)))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(file, exif=exif)
    expected = model.predict(upright)
    assert expected.std() > 1e-3
    (from_file,) = predict_files(model, [file])
    for probs in (model.predict(file), model.predict(Image.open(file)), from_file.probs[None]):
        torch.testing.assert_close(probs, expected, atol=1e-6, rtol=0)


def test_probabilities_are_float32_also_under_autocast(model):
    images = torch.randn(5, 3, 24, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probs = model.probabilities(images)
    assert probs.dtype == torch.float32
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(5), atol=1e-6, rtol=0)


def test_no_picture_is_refused(model):
    with pytest.raises(ValueError, match="`pictures` must hold at least one; got none"):
        model.predict([])


def test_printing_it_says_what_it_is(model):
    assert "D-SINK, seed 3: 91.2 % of the test set; animals" in repr(model)


def test_it_can_be_trained_on(tmp_path, model):
    images = torch.randn(4, 3, 24, 32)
    model.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
