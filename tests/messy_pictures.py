"""Pictures as people have them: of many sizes, kinds and modes, in folders inside folders, some of them misfiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog house", "Ünicorn")
NUM_PICTURES = 99
#: Every so many pictures, one lies in the folder of another class.
MISFILED_EVERY = 9

_KINDS = (
    ("jpg", "RGB"),
    ("png", "RGBA"),
    ("png", "P"),
    ("webp", "RGB"),
    ("tiff", "CMYK"),
    ("JPEG", "L"),
    ("png", "LA"),
    ("tif", "I;16"),
    ("gif", "P"),
    ("png", "1"),
    ("bmp", "RGB"),
)


def write_pictures(root: Path, *, num_pictures: int = NUM_PICTURES, seed: int = 0) -> dict[str, int]:
    """Write ``root/CLASS/**``, pictures of three colours; returns how many lie in each folder."""
    rng = np.random.default_rng(seed)
    for number in range(num_pictures):
        shown = number % len(CLASSES)
        filed = (shown + 1) % len(CLASSES) if number % MISFILED_EVERY == 0 else shown
        ending, mode = _KINDS[number % len(_KINDS)]
        folder = root / CLASSES[filed] / ("scans" if number % 5 == 0 else "")
        folder.mkdir(parents=True, exist_ok=True)
        _save(_picture(rng, shown), folder / f"picture {number:03d}.{ending}", mode, turn=number % 4 == 3)
    for name in CLASSES:
        # What systems leave behind.
        (root / name / "Thumbs.db").write_bytes(b"no picture")
        (root / name / "._picture.png").write_bytes(b"no picture")
    (root / ".DS_Store").write_bytes(b"no picture")
    inside = {name: sum(path.name.startswith("picture ") for path in (root / name).rglob("*")) for name in CLASSES}
    assert sum(inside.values()) == num_pictures
    return inside


def _picture(rng: np.random.Generator, label: int) -> Image.Image:
    """A bright band in a third of a dark picture: the third is the class, whatever the mode leaves of its colours."""
    height, width = (int(side) for side in rng.integers(24, 90, 2))
    pixels = rng.integers(0, 80, (height, width, 3), dtype=np.uint8)
    pixels[label * height // 3 : (label + 1) * height // 3] += 150
    return Image.fromarray(pixels)


def _save(picture: Image.Image, path: Path, mode: str, *, turn: bool) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    if turn and path.suffix == ".jpg":
        # As a phone held upright saves it: lying, with a note of how to turn it.
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    else:
        picture.save(path)
