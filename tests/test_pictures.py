"""Every mode of an image file is read as its twin of 8 bits a channel looks."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lt_callbacks._pictures import read_picture, warn_of_frames

HEIGHT, WIDTH = 12, 16


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


COLOURS = noise(HEIGHT, WIDTH, 3)
GREY = noise(HEIGHT, WIDTH)
# Fully hidden, fully shown and all between.
ALPHA = np.tile(np.array([0, 255, 1, 64, 128, 254, 0, 200], dtype=np.uint8), HEIGHT * WIDTH // 8).reshape(HEIGHT, WIDTH)


def laid_on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """By the formula of compositing, as RGB."""
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=2)
    share = alpha[..., None].astype(float) / 255
    return np.floor(pixels * share + 255 * (1 - share) + 0.5).astype(np.uint8)


def rgb(path: Path) -> np.ndarray:
    picture = read_picture(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def off_by(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def write_png(path: Path, rows: np.ndarray, *, bits: int, colour_type: int, transparent: bytes = b"") -> Path:
    """A PNG of depths that Pillow reads and does not write; ``rows`` are (H, bytes) uint8, packed."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    width = rows.shape[1] * 8 // (bits * {0: 1, 2: 3, 4: 2, 6: 4}[colour_type])
    header = struct.pack(">IIBBBBB", width, rows.shape[0], bits, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


def as_bytes(values: np.ndarray) -> np.ndarray:
    """(H, ...) 16-bit values as the rows of a PNG."""
    return np.ascontiguousarray(values.astype(">u2").reshape(len(values), -1)).view(np.uint8)


def tags(**values: int) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2()
    for name, value in values.items():
        directory[{"photometric": 262, "sample_format": 339}[name]] = value
    return directory


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm", "webp", "jp2"])
def test_colours_of_8_bits_are_kept_bit_by_bit(tmp_path: Path, ending: str):
    path = saved(tmp_path / f"x.{ending}", Image.fromarray(COLOURS), **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(rgb(path), COLOURS)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 100}])
def test_jpeg_is_what_pillow_decodes(tmp_path: Path, options: dict[str, object]):
    path = saved(tmp_path / "x.jpg", Image.fromarray(COLOURS), **options)
    with Image.open(path) as image:
        assert np.array_equal(rgb(path), np.asarray(image))


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "pgm", "jp2"])
def test_grey_of_8_bits_is_grey_in_every_channel(tmp_path: Path, ending: str):
    path = saved(tmp_path / f"x.{ending}", Image.fromarray(GREY))
    assert np.array_equal(rgb(path), np.stack([GREY] * 3, axis=2))
    kept = read_picture(path, keep_grey=True)
    assert kept.mode == "L"
    assert np.array_equal(np.asarray(kept), GREY)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("transparent", [None, 1])
def test_grey_of_fewer_bits_reaches_from_black_to_white(tmp_path: Path, bits: int, transparent: int | None):
    levels = noise(HEIGHT, WIDTH) >> (8 - bits)
    ones = (levels[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(ones.reshape(HEIGHT, -1).astype(bool), axis=1)
    key = b"" if transparent is None else struct.pack(">H", transparent)
    path = write_png(tmp_path / "x.png", rows, bits=bits, colour_type=0, transparent=key)
    expected = (levels * (255 // (2**bits - 1))).astype(np.uint8)
    if transparent is not None:
        expected[levels == transparent] = 255
    assert np.array_equal(rgb(path), np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize("widened_by", [256, 257])
@pytest.mark.parametrize(("name", "order"), [("x.png", "<u2"), ("x.tif", "<u2"), ("big.tif", ">u2"), ("x.pgm", "<u2")])
def test_grey_of_16_bits_is_its_8_bit_twin(tmp_path: Path, name: str, order: str, widened_by: int):
    deep = (GREY.astype(np.uint16) * widened_by).astype(order)
    path = tmp_path / name
    if name == "x.pgm":
        path.write_bytes(b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(path)
    assert np.array_equal(rgb(path), np.stack([GREY] * 3, axis=2))
    assert read_picture(path, keep_grey=True).mode == "L"


def test_grey_of_16_bits_in_a_pgm_is_scaled_by_its_own_maximum(tmp_path: Path):
    (tmp_path / "x.pgm").write_bytes(b"P5 3 1 1023\n" + np.array([0, 512, 1023], dtype=">u2").tobytes())
    assert rgb(tmp_path / "x.pgm")[0, :, 0].tolist() == [0, 128, 255]


def test_grey_of_16_bits_with_a_transparent_value(tmp_path: Path):
    deep = np.array([[300, 301, 65535, 0]])
    path = write_png(tmp_path / "x.png", as_bytes(deep), bits=16, colour_type=0, transparent=struct.pack(">H", 300))
    assert rgb(path)[0, :, 0].tolist() == [255, 1, 255, 0]


@pytest.mark.parametrize(("channels", "colour_type"), [(3, 2), (4, 6), (2, 4)])
def test_colours_and_alpha_of_16_bits_are_their_8_bit_twins(tmp_path: Path, channels: int, colour_type: int):
    pixels = noise(HEIGHT, WIDTH, channels)
    deep = pixels.astype(np.uint16) * 257
    path = write_png(tmp_path / "x.png", as_bytes(deep), bits=16, colour_type=colour_type)
    if channels == 3:
        assert np.array_equal(rgb(path), pixels)
    else:
        shown = pixels[..., 0] if channels == 2 else pixels[..., :3]
        assert off_by(rgb(path), laid_on_white(shown, pixels[..., -1])) <= 1


def test_tiff_of_12_bits_is_its_8_bit_twin(tmp_path: Path):
    levels = np.arange(0, 4096, 64)
    packed = bytearray()
    for first, second in levels.reshape(-1, 2).tolist():
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    entries = [(256, len(levels)), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    entries.append((279, len(packed)))
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in entries)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(packed))
    (tmp_path / "x.tif").write_bytes(header + packed + directory + bytes(4))
    assert rgb(tmp_path / "x.tif")[0, :, 0].tolist() == (levels >> 4).tolist()


@pytest.mark.parametrize("kind", ["8", "16", "float"])
def test_tiff_in_which_0_is_white_is_turned_round(tmp_path: Path, kind: str):
    stored = {"8": GREY, "16": GREY.astype(np.uint16) * 257, "float": (GREY / 255).astype(np.float32)}[kind]
    path = tmp_path / "x.tif"
    Image.fromarray(stored).save(path, tiffinfo=tags(photometric=0))
    # Pillow inverts what it writes of 8 bits, and leaves the others as they are.
    expected = GREY if kind == "8" else 255 - GREY
    assert np.array_equal(rgb(path)[..., 0], expected)


def test_grey_floats_are_shown_from_0_to_1(tmp_path: Path):
    path = saved(tmp_path / "x.tif", Image.fromarray((GREY / 255).astype(np.float32)))
    assert np.array_equal(rgb(path), np.stack([GREY] * 3, axis=2))
    assert read_picture(path, keep_grey=True).mode == "L"


@pytest.mark.parametrize("mode", ["1", "P"])
@pytest.mark.parametrize("ending", ["png", "gif", "tif", "bmp"])
def test_1_bit_and_palette_are_converted_before_anything_can_resize_them(tmp_path: Path, mode: str, ending: str):
    stored = Image.fromarray(COLOURS).convert(mode)
    path = saved(tmp_path / f"x.{ending}", stored)
    twin = saved(tmp_path / "twin.png", stored.convert("RGB"))
    small = [read_picture(each).resize((5, 4), Image.Resampling.BILINEAR) for each in (path, twin)]
    assert np.array_equal(np.asarray(small[0]), np.asarray(small[1]))
    assert np.array_equal(rgb(path), np.asarray(stored.convert("RGB")))
    # Smoothed, which neither mode can be.
    assert len(np.unique(np.asarray(small[0]))) > 2


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGBA", "png"), ("RGBA", "tif"), ("RGBA", "webp"), ("RGBA", "jp2"), ("LA", "png"), ("LA", "tif"), ("PA", "tif")],
)
def test_transparent_pictures_are_laid_on_white(tmp_path: Path, mode: str, ending: str):
    below = [Image.fromarray(GREY if mode == "LA" else COLOURS), Image.fromarray(ALPHA)]
    if mode == "PA":
        palette = Image.fromarray(COLOURS).quantize(16)
        stored = palette.convert("PA")
        stored.putalpha(below[1])
        pixels = np.asarray(palette.convert("RGB"))
    else:
        stored = Image.merge(mode, [*below[0].split(), below[1]])
        pixels = np.asarray(below[0])
    options = {"lossless": True, "exact": True} if ending == "webp" else {}
    path = saved(tmp_path / f"x.{ending}", stored, **options)
    assert off_by(rgb(path), laid_on_white(pixels, ALPHA)) <= 1
    assert read_picture(path, keep_grey=True).mode == ("L" if mode == "LA" else "RGB")


def test_colours_that_are_stored_times_alpha_are_laid_on_white(tmp_path: Path):
    colours = Image.merge("RGBA", [*Image.fromarray(COLOURS).split(), Image.fromarray(ALPHA)])
    # Tag 338: what the fourth channel is; 1 is alpha by which the others are multiplied.
    path = tmp_path / "x.tif"
    Image.fromarray(np.asarray(colours.convert("RGBa"))).save(path)
    plain, multiplied = (struct.pack("<HHIH", 338, 3, 1, value) for value in (2, 1))
    assert plain in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(plain, multiplied))
    assert off_by(rgb(path), laid_on_white(COLOURS, ALPHA)) <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L"])
def test_hidden_pixels_do_not_matter(tmp_path: Path, mode: str):
    hidden = ALPHA == 0
    found = []
    for seed in (1, 2):
        if mode in ("RGBA", "LA"):
            pixels = COLOURS.copy() if mode == "RGBA" else GREY.copy()
            pixels[hidden] = noise(*pixels.shape, seed=seed)[hidden]
            bands = [*Image.fromarray(pixels).split(), Image.fromarray(ALPHA)]
            path = saved(tmp_path / f"{seed}.png", Image.merge(mode, bands))
        elif mode == "P":
            image = Image.fromarray(np.where(hidden, 7, GREY // 32 + 8).astype(np.uint8), mode="P")
            image.putpalette([seed * 40 if i // 3 == 7 else i % 256 for i in range(768)])
            path = saved(tmp_path / f"{seed}.png", image, transparency=7)
        else:
            value = (seed, 2, 3) if mode == "RGB" else seed
            pixels = (COLOURS if mode == "RGB" else GREY) | 8
            pixels[hidden] = value
            path = saved(tmp_path / f"{seed}.png", Image.fromarray(pixels), transparency=value)
        found.append(rgb(path))
        assert (found[-1][hidden] == 255).all()
        assert (found[-1][~hidden] != 255).any()
    assert np.array_equal(found[0], found[1])


def test_a_palette_with_many_alphas(tmp_path: Path):
    palette = Image.fromarray(COLOURS).quantize(8)
    alphas = bytes([0, 10, 100, 255, 0, 30, 200, 254])
    path = saved(tmp_path / "x.png", palette, transparency=alphas)
    alpha = np.frombuffer(alphas, dtype=np.uint8)[np.asarray(palette)]
    assert off_by(rgb(path), laid_on_white(np.asarray(palette.convert("RGB")), alpha)) <= 1


def test_cmyk_jpeg_of_adobe_is_not_inverted(tmp_path: Path):
    blocks = np.kron(noise(2, 2, 3), np.ones((16, 16, 1), dtype=np.uint8))
    path = saved(tmp_path / "x.jpg", Image.fromarray(blocks).convert("CMYK"), quality=100)
    assert b"Adobe" in path.read_bytes()
    assert off_by(rgb(path), blocks) <= 3


def test_cmyk_and_ycbcr_and_lab_tiffs_are_their_rgb_twins(tmp_path: Path):
    path = saved(tmp_path / "cmyk.tif", Image.fromarray(COLOURS).convert("CMYK"))
    assert np.array_equal(rgb(path), COLOURS)
    ycbcr = Image.fromarray(COLOURS).convert("YCbCr")
    assert off_by(rgb(saved(tmp_path / "ycbcr.tif", ycbcr)), np.asarray(ycbcr.convert("RGB"))) == 0
    # White, black and, within the rounding of its two colour axes, pure red of sRGB.
    lab = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 0], [136, 80, 67]]], dtype=np.uint8), mode="LAB")
    assert off_by(rgb(saved(tmp_path / "lab.tif", lab)), np.array([[[255] * 3, [0] * 3, [255, 0, 0]]])) <= 12


@pytest.mark.parametrize("ending", ["gif", "tif", "webp", "png", "TIFF"])
def test_the_first_of_several_frames_is_read_and_said(tmp_path: Path, ending: str):
    frames = [Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)) for value in (10, 200)]
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"x.{ending}", frames[0], save_all=True, append_images=frames[1:], **options)
    single = saved(tmp_path / f"single.{ending}", frames[1], **options)
    assert (rgb(path) == 10).all()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_frames([single, path, path])
    expected = (
        [] if ending == "png" else [f"Only the first frame or page of a file is read; 2 have several, such as {path}."]
    )
    assert [str(warning.message) for warning in caught] == expected
