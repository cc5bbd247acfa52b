"""Pictures as the data sets read them: the one place where this room reads a file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def open_picture(path: Path) -> Image.Image:
    """The picture in a file as RGB.

    Raises:
        ValueError: It cannot be read; the message has the path.
    """
    # On use: the room of the data sets loads Lightning.
    from lt_callbacks.data.image_file import read_image

    return read_image(path)


def as_rgb(picture: Image.Image) -> Image.Image:
    """A picture that was opened elsewhere, as RGB."""
    return picture.convert("RGB")


def picture_endings() -> tuple[str, ...]:
    """Endings of the files that count as pictures in a folder, in small letters."""
    from lt_callbacks.data.sources.image_folder import IMAGE_ENDINGS

    return IMAGE_ENDINGS
