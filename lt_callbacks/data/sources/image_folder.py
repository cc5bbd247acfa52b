from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import IMAGENET_MEAN, IMAGENET_STD

#: Endings of the files that count as images; others are left alone.
IMAGE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def image_folder(*, root: str | os.PathLike[str], image_size: int, crop_padding: int = 0, flip: bool = True) -> Source:
    """Your own image files, a folder a class: ``root/train/CLASS/*.png`` and, optionally, ``root/test/CLASS/*.png``.

    Classes are the folders under ``train`` in alphabetic order; folders inside a class's folder count to it, hidden
    files and folders do not. Images are decoded to RGB by worker processes and normalised with ImageNet's mean and
    deviation.

    Args:
        root: Holds ``train`` and perhaps ``test``.
        image_size: Height and width that images are given out with, in pixels.
        crop_padding: 0: training takes random resized crops, the ImageNet recipe. Above: images are resized to
            ``image_size`` and crops move by that many pixels, the CIFAR recipe.
        flip: Whether training images are mirrored. Set False where that changes the meaning: digits, text.

    Raises:
        FileNotFoundError: ``root/train`` is missing or has no class.
        ValueError: A class has no image, or ``test`` has a class that ``train`` has not.
    """
    root = Path(root)
    class_names = tuple(_classes(root / "train"))
    if not class_names:
        raise ArgumentFileError(
            "root",
            rule=f"hold image files in a folder a class, {root / 'train' / 'CLASS' / '*.png'}",
            got="none",
            way_out=f"Put the training images there, and those of the test under {root / 'test'}.",
        )
    unknown = sorted(set(_classes(root / "test")) - set(class_names))
    if unknown:
        raise ArgumentValueError(
            "root",
            rule="have no class in 'test' that 'train' has not",
            got=str(root / "test" / unknown[0]),
            way_out="Add its training images, or remove it.",
        )
    return Source(
        name=root.resolve().name,
        train=_image_set(root / "train", class_names),
        test=_image_set(root / "test", class_names) if (root / "test").is_dir() else None,
        class_names=class_names,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_padding=crop_padding,
        flip=flip,
        labels_are_true=False,
        image_size=image_size,
    )


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _image_set(folder: Path, class_names: tuple[str, ...]) -> ImageSet:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        files = _image_files(folder / name)
        if not files and folder.name == "train":
            raise ArgumentValueError(
                "root",
                rule="hold an image for every class",
                got=f"{folder / name}, which has no file ending in {', '.join(IMAGE_ENDINGS)}",
                way_out="Add images, or remove the folder.",
            )
        paths += files
        labels += [label] * len(files)
    return ImageSet(images=tuple(paths), labels=np.array(labels, dtype=np.int64))


def _image_files(folder: Path) -> list[Path]:
    # Notebooks and macOS leave hidden copies of images beside them.
    inside = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    visible = [folder / name for name in inside if not any(part.startswith(".") for part in name.split("/"))]
    return [path for path in visible if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()]
