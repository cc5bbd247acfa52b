from __future__ import annotations

import pytest
import torch
from PIL import Image
from small_models import saved, write_picture

from lt_callbacks import load_model


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


def test_no_picture_is_refused(model):
    with pytest.raises(ValueError, match="`pictures` must hold at least one; got none"):
        model.predict([])


def test_printing_it_says_what_it_is(model):
    assert "D-SINK, seed 3: 91.2 % of the test set; animals" in repr(model)


def test_it_can_be_trained_on(tmp_path, model):
    images = torch.randn(4, 3, 24, 32)
    model.train()(images).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
