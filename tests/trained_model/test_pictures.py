from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from small_models import write_picture

from lt_callbacks.trained_model.pictures import as_rgb, open_picture, picture_endings


def test_a_file_is_read_as_rgb(tmp_path):
    picture = open_picture(write_picture(tmp_path / "a.png", mode="L"))
    assert (picture.mode, picture.size) == ("RGB", (60, 40))
    pixels = np.asarray(picture)
    assert (pixels[..., 0] == pixels[..., 1]).all()


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"a\.png"):
        open_picture(tmp_path / "a.png")


def test_an_opened_picture_becomes_rgb():
    grey = as_rgb(Image.new("L", (2, 3), 7))
    assert (grey.mode, grey.getpixel((1, 2))) == ("RGB", (7, 7, 7))


def test_folders_are_searched_for_these():
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"} <= set(picture_endings())
