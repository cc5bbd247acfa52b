"""Image files as a person sees them, for every room that reads some. NumPy and Pillow only."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from lt_callbacks._errors import ArgumentValueError, DataError

_Path = str | os.PathLike[str]

#: Grey value that shows where a picture is transparent: white, as on a page.
BACKGROUND = 255

#: Environment variable that sets ``PIL.Image.MAX_IMAGE_PIXELS``, in workers and ranks too.
MAX_PIXELS_VARIABLE = "LT_CALLBACKS_MAX_IMAGE_PIXELS"

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_OPAQUE_GREY = ("1", "L")
_OPAQUE_COLOUR = ("RGB", "RGBX", "P", "CMYK", "YCbCr", "HSV", "LAB")
# Mode with transparency -> the one in which it is laid on the background.
_LAID_AS = {"RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA", "LA": "LA", "La": "LA"}
_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_TELL_ORIENTATION = frozenset({"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"})
# Tags of TIFF files, and two of their values.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# Formats of several frames or pages. Animated PNGs are too rare to open every PNG for them.
_FRAMES_POSSIBLE = (".avif", ".gif", ".tif", ".tiff", ".webp")


def read_picture(path: _Path, *, keep_grey: bool = False) -> Image.Image:
    """The picture in an image file as a person sees it: upright, in RGB with 8 bits a channel.

    - It is turned as its EXIF orientation says (1 to 8), in every format for which Pillow reports one.
    - Transparency (an alpha channel, a transparent colour or palette entry) is laid on white.
    - Of 16 bits a channel the high byte is taken, which undoes both ways of widening 8 bits (by 256 and by 257); of
      12 bits the high 8. In grey floats 0 is black and 1 is white.
    - Of several frames or pages the first is read.
    - 1 bit, palettes, CMYK, YCbCr, HSV and LAB become RGB. Colour profiles are not applied, but to LAB.

    Args:
        path: An image file.
        keep_grey: Whether a file that by its mode holds no colours is given as ``"L"``: one channel of 8 bits.

    Raises:
        ValueError: Pillow cannot decode the file, it has more pixels than ``PIL.Image.MAX_IMAGE_PIXELS`` (which
            ``LT_CALLBACKS_MAX_IMAGE_PIXELS`` in the environment sets), or nothing says which of its values are black
            and white (32-bit or signed integers, floats outside [0, 1]). The message has the path.
    """
    with _named(path), Image.open(path) as image:
        return picture_as_seen(image, keep_grey=keep_grey, name=path)


def picture_as_seen(image: Image.Image, *, keep_grey: bool = False, name: _Path = "The image") -> Image.Image:
    """An image that Pillow has opened as a person sees it; see `read_picture`.

    Args:
        image: Of any mode, loaded or not.
        keep_grey: As in `read_picture`.
        name: How messages call it.

    Raises:
        ValueError: As in `read_picture`.
    """
    with _named(name):
        _check_num_pixels(name, image)
        if isinstance(image, ImageFile.ImageFile) and image.format == "TIFF":
            # Pillow maps files of a known name into memory, and wrongly those that are turned by a quarter.
            image.filename = ""
        # Gone once the pixels are loaded.
        tiles = getattr(image, "tile", None)
        stored_as = str(tiles[0][3]) if tiles else ""
        image.load()
        turn = _turn(image)
        picture = (
            image if image.mode == "RGB" and "transparency" not in image.info else _as_seen(name, image, stored_as)
        )
    if picture.mode == "L" and not keep_grey:
        picture = picture.convert("RGB")
    if turn is None:
        return picture
    upright = picture.transpose(turn)
    # It would be turned once more by whoever looks at it again.
    for name in _TELL_ORIENTATION:
        upright.info.pop(name, None)
    return upright


def warn_of_frames(paths: Iterable[Path]) -> None:
    """Warn, once for all and with their number, of files of several frames or pages: only the first is read.

    Opens those that end in .avif, .gif, .tif, .tiff or .webp and decodes none.

    Raises:
        ValueError: Pillow cannot open one of them; the message has the path.
    """
    found = []
    for path in paths:
        if path.suffix.lower() in _FRAMES_POSSIBLE:
            with _named(path), Image.open(path) as image:
                if getattr(image, "is_animated", False):
                    found.append(path)
    if found:
        warnings.warn(
            f"Only the first frame or page of a file is read; {len(found)} have several, such as {found[0]}.",
            stacklevel=2,
        )


@contextmanager
def _named(path: _Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes an error that names the file."""
    _set_limit()
    try:
        yield
    except DataError:
        raise
    # A warning is one where warnings are errors.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refusal(path, _FEW_PIXELS, f"the error: {str(error).rstrip('.')}", _FEWER_PIXELS) from error
    except UnidentifiedImageError as error:
        raise _refusal(path, _AN_IMAGE, "something else", _REPLACE) from error
    # Pillow lets through what its decoders run into: OSError, SyntaxError, struct.error, EOFError, KeyError, others.
    except Exception as error:
        raise _refusal(path, _AN_IMAGE, f"{type(error).__name__}: {error}", _REPLACE) from error


_AN_IMAGE = "be an image file that Pillow can decode"
_REPLACE = "Replace it, or remove it from the data set."
_FEW_PIXELS = "have no more pixels than Pillow takes for safe"
_FEWER_PIXELS = (
    "Make it smaller or, if you trust it, raise `PIL.Image.MAX_IMAGE_PIXELS` before it is read, or set "
    f"{MAX_PIXELS_VARIABLE} in the environment."
)


def _set_limit() -> None:
    text = os.environ.get(MAX_PIXELS_VARIABLE)
    if text:
        if not (text.isascii() and text.isdecimal() and int(text) > 0):
            raise ArgumentValueError(MAX_PIXELS_VARIABLE, rule="be a number of pixels > 0", got=repr(text))
        Image.MAX_IMAGE_PIXELS = int(text)


def _check_num_pixels(path: _Path, image: Image.Image) -> None:
    """Up to twice the limit Pillow only warns."""
    limit, (width, height) = Image.MAX_IMAGE_PIXELS, image.size
    if limit is not None and width * height > limit:
        got = f"{width} x {height}, where the limit is {limit}"
        raise _refusal(path, _FEW_PIXELS, got, _FEWER_PIXELS)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What sets a loaded image upright, as EXIF or XMP say; TIFF files were turned when they were loaded."""
    if not _TELL_ORIENTATION.intersection(image.info):
        return None
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    # Viewers too show a picture as it is stored where what it says of its camera is damaged.
    except Exception:
        return None


def _as_seen(path: _Path, image: Image.Image, stored_as: str) -> Image.Image:
    """A loaded image as ``"L"`` if its mode has no colours, otherwise as ``"RGB"``."""
    tags = getattr(image, "tag_v2", {})
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise _no_range(path, f"signed integers, mode {image.mode!r}")
    if image.mode in _LAID_AS or (image.mode == "P" and image.has_transparency_data):
        layer = image.convert(_LAID_AS.get(image.mode, "RGBA"))
        page = Image.new("L" if layer.mode == "LA" else "RGB", image.size, (BACKGROUND,) * (len(layer.getbands()) - 1))
        page.paste(layer, mask=layer)
        return page
    if image.mode in _DEEP_GREY:
        seen = _eight_bits(path, image)
    elif image.mode in _OPAQUE_GREY:
        seen = image.convert("L")
    elif image.mode in _OPAQUE_COLOUR:
        seen = image.convert("RGB")
    else:
        raise _no_range(path, f"mode {image.mode!r}")
    key = image.info.get("transparency")
    if key is not None:
        seen.paste((BACKGROUND,) * len(seen.getbands()), mask=_keyed(path, image, key, stored_as))
    return seen


def _keyed(path: _Path, image: Image.Image, key: int | tuple[int, ...], stored_as: str) -> Image.Image:
    """Where an image has its transparent colour, as a mask."""
    if stored_as.startswith("RGB;16"):
        # Pillow has read the high bytes only.
        raise _refusal(
            path,
            "have an alpha channel if it is transparent and has 16 bits a channel",
            "a transparent colour of 16 bits, which Pillow does not find",
            "Save it with an alpha channel, or with 8 bits a channel.",
        )
    # Pillow scales grey of 2 or 4 bits to 8, but not its transparent value.
    scale = {"L;2": 85, "L;4": 17}.get(stored_as, 1)
    equal = np.asarray(image if image.mode != "1" else image.convert("L")) == np.asarray(key) * scale
    return Image.fromarray(equal if equal.ndim == 2 else equal.all(axis=2))


def _eight_bits(path: _Path, image: Image.Image) -> Image.Image:
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "F":
        # NaN is on neither side.
        if not (values.min() >= 0 and values.max() <= 1):
            raise _no_range(path, f"mode 'F' with values from {values.min():g} to {values.max():g}")
        grey = (values * 255).round().astype(np.uint8)
    # Pillow has scaled what these two formats hold to 16 bits; integers of 32 bits come from others.
    elif image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise _no_range(path, "mode 'I', integers of 32 bits")
    else:
        num_bits = min(16, tags.get(_BITS, (16,))[0])
        grey = (values >> (num_bits - 8)).astype(np.uint8)
    # Which Pillow heeds for 8 bits only.
    return Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey)


def _no_range(path: _Path, got: str) -> DataError:
    return _refusal(
        path,
        "say which of its values are black and white",
        got,
        "Save it with 8 or 16 bits a channel, or as floats from 0, black, to 1, white.",
    )


def _refusal(path: _Path, rule: str, got: str, way_out: str) -> DataError:
    # Not an error of an argument: a loader's workers pass on what can be made from a message alone.
    return DataError(f"{path} must {rule}; got {got}. {way_out}")
