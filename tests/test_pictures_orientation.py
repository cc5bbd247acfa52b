"""A picture that was stored turned is read as its upright twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lt_callbacks._pictures import picture_as_seen, read_picture

# Orientation -> what a camera stored of an upright picture, from the definition of the tag: which side of the picture
# the first row and the first column of the file are.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    # The first row is the left side, the first column the top.
    5: lambda upright: upright.swapaxes(0, 1),
    # The first row is the right side, the first column the top.
    6: lambda upright: upright[:, ::-1].swapaxes(0, 1),
    # The first row is the right side, the first column the bottom.
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    # The first row is the left side, the first column the bottom.
    8: lambda upright: upright[::-1].swapaxes(0, 1),
}


def upright() -> np.ndarray:
    """Blocks of 16 pixels, which JPEG keeps apart; (32, 48, 3) and different in every corner."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((16, 16, 1), dtype=np.uint8))


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def stored(path: Path, pixels: np.ndarray, orientation: int, **options: object) -> Path:
    Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels))).save(path, exif=exif(orientation), **options)
    return path


# Largest difference of a value: 0 where the format is lossless.
FORMATS = {
    "jpg": (4, {"quality": 100, "subsampling": 0}),
    "png": (0, {}),
    "webp": (0, {"lossless": True}),
    "tif": (0, {}),
    "tiff": (0, {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", FORMATS)
def test_a_turned_picture_is_its_upright_twin(tmp_path: Path, ending: str, orientation: int):
    tolerance, options = FORMATS[ending]
    path = stored(tmp_path / f"x.{ending}", upright(), orientation, **options)
    found = np.asarray(read_picture(path)).astype(int)
    assert found.shape == (32, 48, 3)
    assert np.abs(found - upright()).max() <= tolerance
    # What is upright already stays so, whoever looks at it again.
    assert np.array_equal(np.asarray(picture_as_seen(read_picture(path))), found)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["16-bit", "transparent", "palette", "float", "grey", "CMYK"])
def test_modes_that_are_converted_are_turned_too(tmp_path: Path, kind: str, orientation: int):
    if kind in ("16-bit", "float", "grey"):
        grey = upright()[..., 0]
        deep = {"16-bit": grey.astype(np.uint16) * 257, "float": (grey / 255).astype(np.float32), "grey": grey}[kind]
        path = stored(tmp_path / "x.tif", deep, orientation)
        expected = np.stack([grey] * 3, axis=2)
    elif kind == "transparent":
        alpha = np.full((32, 48, 1), 255, dtype=np.uint8)
        alpha[:16, :16] = 0
        path = stored(tmp_path / "x.png", np.concatenate([upright(), alpha], axis=2), orientation)
        expected = np.where(alpha == 0, 255, upright())
    else:
        turned = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright())))
        path = tmp_path / "x.tif"
        (turned.quantize(16) if kind == "palette" else turned.convert("CMYK")).save(path, exif=exif(orientation))
        expected = upright()
    assert np.array_equal(np.asarray(read_picture(path)), expected)


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="this Pillow does not read AVIF")
def test_an_avif_is_turned_once(tmp_path: Path):
    path = stored(tmp_path / "x.avif", upright(), 6, quality=100, subsampling="4:4:4")
    found = np.asarray(read_picture(path)).astype(int)
    assert found.shape == (32, 48, 3)
    assert np.abs(found - upright()).max() <= 12


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path, orientation: int):
    path = tmp_path / "x.png"
    Image.fromarray(upright()).save(path, exif=exif(orientation))
    assert np.array_equal(np.asarray(read_picture(path)), upright())


def test_damaged_exif_leaves_the_picture_as_it_is_stored(tmp_path: Path):
    path = tmp_path / "x.png"
    Image.fromarray(upright()).save(path, exif=b"Exif\0\0no such thing")
    with Image.open(path) as image, pytest.raises(SyntaxError):
        image.getexif()
    assert np.array_equal(np.asarray(read_picture(path)), upright())


def test_orientation_in_xmp_counts_where_there_is_no_exif(tmp_path: Path):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="3"/>')
    path = tmp_path / "x.png"
    Image.fromarray(np.ascontiguousarray(STORED[3](upright()))).save(path, pnginfo=chunks)
    assert np.array_equal(np.asarray(read_picture(path)), upright())
    assert np.array_equal(np.asarray(picture_as_seen(read_picture(path))), upright())
