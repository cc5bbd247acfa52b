"""A file that cannot be shown is named, with what is wrong and what to do."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from test_pictures import as_bytes, noise, write_png

from lt_callbacks._errors import DataError
from lt_callbacks._pictures import MAX_PIXELS_VARIABLE, read_picture, warn_of_frames


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"broken.png must be an image file that Pillow can decode; got .*\. Replace it, or remove"
    ) as caught:
        read_picture(path)
    # As a loader's workers pass it on.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone.png must be .* FileNotFoundError"):
        read_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "ppm", "tif", "webp", "avif", "jp2"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str, share: float):
    if f".{ending}" not in Image.registered_extensions():
        pytest.skip(f"this Pillow does not read .{ending}")
    path = tmp_path / f"cut.{ending}"
    Image.fromarray(noise(64, 64, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"cut.{ending} must be an image file that Pillow can decode; got"):
        read_picture(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_whatever_damage_does_the_file_is_named(tmp_path: Path, ending: str):
    whole = tmp_path / f"whole.{ending}"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(noise(24, 24, 3)).save(whole, **({} if ending in ("gif", "bmp") else {"exif": exif}))
    rng = np.random.default_rng(0)
    path = tmp_path / f"x.{ending}"
    errors = []
    for _ in range(150):
        content = bytearray(whole.read_bytes())
        for place in rng.integers(0, min(200, len(content)), 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            assert read_picture(path).mode == "RGB"
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > 10
    assert all(error.startswith(f"{path} must ") for error in errors)


@pytest.mark.parametrize("times_the_limit", [0.5, 1, 1.5, 3])
def test_more_pixels_than_pillow_takes_for_safe_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times_the_limit: float
):
    path = tmp_path / "large.png"
    Image.new("RGB", (20, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(200 / times_the_limit))
    if times_the_limit <= 1:
        assert read_picture(path).size == (20, 10)
        return
    with pytest.raises(
        DataError,
        match=r"large.png must have no more pixels than .* got .*(20 x 10|200 pixels).* raise `PIL.Image.MAX_IMAGE_PI",
    ):
        read_picture(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_picture(path).size == (20, 10)


@pytest.mark.parametrize("values", [[0.0, 255.0], [-0.1, 0.5], [0.0, float("nan")], [0.0, float("inf")], [1.01, 0.0]])
def test_floats_outside_0_to_1_are_refused(tmp_path: Path, values: list[float]):
    Image.fromarray(np.array([values], dtype=np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(
        DataError, match=r"f.tif must say which of its values are black and white; got mode 'F' with values from .*Save"
    ):
        read_picture(tmp_path / "f.tif")


def test_integers_of_32_bits_and_signed_ones_are_refused(tmp_path: Path):
    Image.fromarray(np.array([[0, 100_000]], dtype=np.int32)).save(tmp_path / "i.tif")
    signed = ImageFileDirectory_v2()
    signed[339] = 2
    Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).save(tmp_path / "signed.tif", tiffinfo=signed)
    for name, mode in (("i", "I"), ("signed", "L")):
        with pytest.raises(DataError, match=rf"{name}.tif must say which .* got signed integers, mode '{mode}'. Save"):
            read_picture(tmp_path / f"{name}.tif")


def test_unsigned_integers_of_32_bits_are_refused(tmp_path: Path):
    path = tmp_path / "u.tif"
    Image.fromarray(np.array([[0, 100_000]], dtype=np.int32)).save(path)
    signed, unsigned = (struct.pack("<HHIH", 339, 3, 1, value) for value in (2, 1))
    assert signed in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(signed, unsigned))
    with pytest.raises(DataError, match=r"u.tif must say which .* got mode 'I', integers of 32 bits"):
        read_picture(path)


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path: Path):
    deep = noise(4, 5, 3).astype(np.uint16) * 257
    path = write_png(
        tmp_path / "key.png", as_bytes(deep), bits=16, colour_type=2, transparent=as_bytes(deep[0, 0])[:].tobytes()
    )
    with pytest.raises(
        DataError, match=r"key.png must have an alpha channel if .*; got a transparent colour of 16 bits"
    ):
        read_picture(path)


def test_frames_of_a_file_that_is_no_image_are_not_counted(tmp_path: Path):
    (tmp_path / "x.gif").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"x.gif must be an image file that Pillow can decode"):
        warn_of_frames([tmp_path / "x.gif"])


def test_the_environment_sets_the_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "large.png"
    Image.new("RGB", (20, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match=f"or set {MAX_PIXELS_VARIABLE} in the environment"):
        read_picture(path)
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "200")
    assert read_picture(path).size == (20, 10)
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "199")
    with pytest.raises(DataError, match="got 20 x 10, where the limit is 199"):
        read_picture(path)
    for text in ("many", "-1", "0", "1.5", "²"):
        monkeypatch.setenv(MAX_PIXELS_VARIABLE, text)
        with pytest.raises(ValueError, match=f"`{MAX_PIXELS_VARIABLE}` must be a number of pixels > 0; got '{text}'"):
            read_picture(path)


@pytest.mark.filterwarnings("error")
def test_a_large_picture_is_named_also_where_warnings_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "large.png"
    Image.new("RGB", (20, 10)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150)
    with pytest.raises(DataError, match="large.png must have no more pixels than Pillow takes for safe; got"):
        read_picture(path)
