from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from lt_callbacks._checks import as_path
from lt_callbacks._class_folders import Identity, class_folders, class_pictures
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks._pictures import warn_of_frames
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.sources.statistics import IMAGENET_MEAN, IMAGENET_STD

# Names that are parts of a data set rather than classes, in lower case.
_PARTS = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")


def image_folder(*, root: str | os.PathLike[str], image_size: int, crop_padding: int = 0, flip: bool = True) -> Source:
    """Your own image files, a folder a class: ``root/CLASS/*.png``, or ``root/train/CLASS`` and ``root/test/CLASS``.

    Where ``root`` holds a folder ``train``, the classes are the folders in it, and those in ``root/test``, if there is
    one, are the test set; otherwise the classes are the folders of ``root`` itself, and there is no test set. Classes
    count in alphabetic order.

    Folders inside a class's folder count to it, linked ones too, each real folder once. Hidden files and those that
    systems leave behind do not count. Files of other endings than .avif, .bmp, .gif, .jfif, .jp2, .jpe, .jpeg, .jpg,
    .pbm, .pgm, .png, .pnm, .ppm, .tif, .tiff and .webp, in any case, are left out with a warning.

    Images are read by worker processes as a person sees them, in RGB: turned as their EXIF orientation says,
    transparency laid on white, 16 bits brought to 8, of several frames or pages the first. One that cannot be shown so
    is an error that names the file. They are normalised with ImageNet's mean and deviation.

    Args:
        root: Holds ``train`` and perhaps ``test``, or the class folders themselves.
        image_size: Height and width that images are given out with, in pixels.
        crop_padding: 0: training takes random resized crops, the ImageNet recipe. Above: images are resized to
            ``image_size`` and crops move by that many pixels, the CIFAR recipe.
        flip: Whether training images are mirrored. Set False where that changes the meaning: digits, text.

    Raises:
        FileNotFoundError: There is no class, or a link leads to nothing.
        PermissionError: A folder cannot be read.
        ValueError: There is one class only, a class has no training image, ``test`` is empty or has a class that
            ``train`` has not, a folder is linked to from two classes or from both parts, or a file of several frames
            cannot be opened.
    """
    root = as_path("root", root)
    is_split = (root / "train").is_dir()
    train = root / "train" if is_split else root
    class_names = tuple(class_folders(train, argument="root"))
    _check_classes(root, train, class_names)
    owners: dict[Identity, Path] = {}
    train_set = _image_set(train, class_names, class_pictures(train, class_names, argument="root", owners=owners))
    test_set = None
    if is_split:
        _warn_of_strangers(root)
    if is_split and (root / "test").is_dir():
        test_set = _test_set(root / "test", class_names, owners)
    warn_of_frames([*train_set.images, *(() if test_set is None else test_set.images)])
    return Source(
        name=root.resolve().name,
        train=train_set,
        test=test_set,
        class_names=class_names,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_padding=crop_padding,
        flip=flip,
        labels_are_true=False,
        image_size=image_size,
    )


def _check_classes(root: Path, train: Path, class_names: tuple[str, ...]) -> None:
    if not class_names:
        raise ArgumentFileError(
            "root",
            rule=f"hold image files in a folder a class, {root / 'train' / 'CLASS' / '*.png'} or CLASS/*.png",
            got=f"no folder in {train}",
            way_out=f"Put the training images there; those of a test, if any, lie under {root / 'test'}.",
        )
    parts = [name for name in class_names if name.lower() in _PARTS] if train == root else []
    if parts:
        raise ArgumentValueError(
            "root",
            rule="hold its training images under 'train' where it has folders for parts",
            got=f"{root / parts[0]} and no {root / 'train'}",
            way_out="Rename the folder of the training images to 'train', that of the test to 'test'; where it is the "
            f"name of a class, move all classes into {root / 'train'}.",
        )
    if len(class_names) < 2:
        raise ArgumentValueError(
            "root",
            rule="hold two classes or more, which a classifier needs",
            got=f"{str(train / class_names[0])!r} alone",
            way_out="Put the images of each class into a folder of its own.",
        )


def _test_set(folder: Path, class_names: tuple[str, ...], owners: dict[Identity, Path]) -> ImageSet:
    unknown = sorted(set(class_folders(folder, argument="root")) - set(class_names))
    if unknown:
        raise ArgumentValueError(
            "root",
            rule="have no class in 'test' that 'train' has not",
            got=str(folder / unknown[0]),
            way_out="Add its training images, or remove it.",
        )
    pictures = class_pictures(folder, class_names, argument="root", may_be_empty=True, owners=owners)
    if not any(pictures):
        raise ArgumentValueError(
            "root",
            rule="hold test images where it has a folder for them",
            got=f"{folder}, without any in the folders of the classes",
            way_out="Add them as in 'train', or remove the folder.",
        )
    empty = [name for name, files in zip(class_names, pictures, strict=True) if not files]
    if empty:
        warnings.warn(
            f"{folder} has no image of {len(empty)} of {len(class_names)} classes, which no score of the test counts: "
            f"{', '.join(empty[:20])}.",
            stacklevel=3,
        )
    return _image_set(folder, class_names, pictures)


def _image_set(folder: Path, class_names: tuple[str, ...], pictures: list[list[Path]]) -> ImageSet:
    labels = np.repeat(np.arange(len(class_names)), [len(files) for files in pictures])
    return ImageSet(images=tuple(path for files in pictures for path in files), labels=labels.astype(np.int64))


def _warn_of_strangers(root: Path) -> None:
    strangers = [name for name in class_folders(root, argument="root") if name not in ("train", "test")]
    if strangers:
        warnings.warn(
            f"Of {root} the folders train and test are read; these are not: {', '.join(strangers[:20])}.", stacklevel=3
        )
