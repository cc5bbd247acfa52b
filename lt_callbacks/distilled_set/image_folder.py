# A distilled set as image files in torchvision's layout, FOLDER/CLASS/*.png, and any such folder as a distilled set.
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_callbacks._checks import as_path
from lt_callbacks._class_folders import class_folders, class_pictures
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks._files import write_bytes
from lt_callbacks._json_file import NUMBERS, OBJECT, SHA256, TEXTS, Fields
from lt_callbacks.distilled_set.distilled_set import DistilledSet, checked_set
from lt_callbacks.distilled_set.facts_file import read_facts, refusal, write_facts
from lt_callbacks.distilled_set.image_files import (
    channel_statistics,
    checked_size,
    png_bytes,
    read_images,
)

FORMAT = "lt_callbacks.image_folder"
FORMAT_VERSION = 1
FACTS = "image_folder.json"
_KIND = "image files in a folder a class"
_WAY_OUT = f"Restore the folder, or delete {FACTS} to read the images as they are."
_ENTRIES: Fields = {
    "sha256": SHA256,
    "class_names": TEXTS,
    "class_folders": TEXTS,
    "mean": NUMBERS,
    "std": NUMBERS,
    "files": TEXTS,
    "provenance": OBJECT,
}
_FOLDER_NAME = re.compile(r"\w[\w .+-]{0,99}")


def to_image_folder(distilled: DistilledSet, folder: str | os.PathLike[str], *, allow_rounding: bool = False) -> Path:
    """Write ``FOLDER/CLASS/0000017.png`` for each image, and ``image_folder.json``; returns the folder.

    ``torchvision.datasets.ImageFolder`` reads it with the classes in the set's order: where class names do not sort in
    that order, or would not do as names of folders, the class's number is put before them. `from_image_folder` gives
    uint8 images back bit by bit.

    Args:
        distilled: The set, with one channel or three.
        folder: New or empty.
        allow_rounding: Whether float images are rounded to 8 bits.

    Raises:
        ValueError: The folder is not empty, the images are float, or have another number of channels.
    """
    folder = as_path("folder", folder)
    distilled = checked_set(distilled)
    images = _as_bytes(distilled, allow_rounding)
    if folder.exists() and any(folder.iterdir()):
        raise ArgumentValueError(
            "folder", rule="be new or empty", got=f"{str(folder)!r}, which is neither", way_out="Choose another one."
        )
    folders = _folders_for(distilled.class_names)
    files = []
    for position, (image, label) in enumerate(zip(images, distilled.intended_class.tolist(), strict=True)):
        files.append(f"{folders[label]}/{position:07d}.png")
        write_bytes(folder / files[-1], png_bytes(image))
    kept = replace(distilled, images=images)
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sha256": kept.sha256,
        "class_names": list(distilled.class_names),
        "class_folders": folders,
        "mean": list(distilled.mean),
        "std": list(distilled.std),
        "files": files,
        "provenance": dict(distilled.provenance),
    }
    write_facts(folder / FACTS, facts)
    return folder


def from_image_folder(
    folder: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> DistilledSet:
    """A distilled set from ``FOLDER/CLASS/*.png``, jpg and the like: your own images, or those of `to_image_folder`.

    Classes are the folders in alphabetic order, images come by class and name, and are read as a person sees them:
    folders and files count, and pictures are shown, as in `lt_callbacks.data.image_folder`. With ``image_folder.json``
    beside them, names, order, statistics and provenance are those of the set that was written.

    Args:
        folder: Holds a folder a class.
        image_size: Height and width, or one number for a square; images are resized to exactly that (bilinear,
            smoothed). None: images must all have one size.
        mean: One a channel, of pixels scaled to [0, 1]. None: of these images.
        std: One a channel, > 0. None: of these images; 1 for a channel that is constant.
        provenance: As in `DistilledSet`.

    Returns:
        uint8 images, one channel if no file holds colours by its mode (grey of any depth, 1 bit), otherwise RGB.

    Raises:
        FileNotFoundError: There is no such folder, or no class in it, or a link in it leads to nothing.
        PermissionError: A folder cannot be read.
        ValueError: A class has no image, a folder is linked to from two classes, a file cannot be shown faithfully,
            sizes differ, or images were changed since ``image_folder.json`` was written.
    """
    # On use: Pillow is not needed for sets that are stored otherwise.
    from lt_callbacks._pictures import warn_of_frames

    folder = as_path("folder", folder)
    size = checked_size(image_size)
    recorded = _recorded(folder)
    folders = recorded["class_folders"] if recorded else _class_folders(folder)
    pictures = class_pictures(folder, folders, argument="folder")
    files = [(path, label) for label, paths in enumerate(pictures) for path in paths]
    warn_of_frames(path for path, _ in files)
    if recorded:
        files = _in_recorded_order(folder, files, recorded["files"])
    images = read_images([path for path, _ in files], size)
    found_mean, found_std = (recorded["mean"], recorded["std"]) if recorded else channel_statistics(images)
    found = DistilledSet(
        images=images,
        intended_class=torch.tensor([label for _, label in files]),
        class_names=recorded["class_names"] if recorded else folders,
        mean=found_mean,
        std=found_std,
        provenance=recorded["provenance"] if recorded else {},
    )
    if recorded and size is None and found.sha256 != recorded["sha256"]:
        raise refusal(folder / FACTS, _KIND, "does not fit the images: some were changed", _WAY_OUT)
    return replace(
        found,
        mean=found.mean if mean is None else mean,
        std=found.std if std is None else std,
        provenance=found.provenance if provenance is None else provenance,
    )


def _class_folders(folder: Path) -> list[str]:
    names = class_folders(folder, argument="folder")
    if not names:
        raise ArgumentFileError(
            "folder",
            rule=f"hold image files in a folder a class, {folder / 'CLASS' / '*.png'}",
            got="none",
            way_out="Check the path.",
        )
    return names


def _as_bytes(distilled: DistilledSet, allow_rounding: bool) -> Tensor:
    images = distilled.images
    if images.shape[1] not in (1, 3):
        raise ArgumentValueError(
            "distilled",
            rule="have one channel or three to become image files",
            got=str(images.shape[1]),
            way_out="Keep it as `DistilledSet.save` writes it.",
        )
    if images.dtype == torch.uint8:
        return images
    if not allow_rounding:
        raise ArgumentValueError(
            "distilled",
            rule="have uint8 images to become image files without loss",
            got="float32",
            way_out="Pass `allow_rounding=True` to round them to 8 bits, or keep it as `DistilledSet.save` writes it.",
        )
    return (images * 255).round().to(torch.uint8)


def _folders_for(class_names: Sequence[str]) -> list[str]:
    """Names of folders that sort as the classes count: torchvision numbers classes by their folders' names."""
    if list(class_names) == sorted(class_names) and all(_FOLDER_NAME.fullmatch(name) for name in class_names):
        return list(class_names)
    width = len(str(len(class_names) - 1))
    readable = [re.sub(r"[^\w .+-]", "_", name)[:80].strip() for name in class_names]
    return [f"{number:0{width}d}_{name}" for number, name in enumerate(readable)]


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What `to_image_folder` knew about the set; None for a folder that it did not write."""
    if not (folder / FACTS).exists():
        return None
    path = folder / FACTS
    found = read_facts(
        path, kind=_KIND, format_name=FORMAT, format_version=FORMAT_VERSION, way_out=_WAY_OUT, entries=_ENTRIES
    )
    # A name of more than one part would lead out of the folder.
    outside = next((name for name in found["class_folders"] if not _FOLDER_NAME.fullmatch(name)), None)
    if outside is not None:
        raise refusal(path, _KIND, f"has {outside!r} in `class_folders`, which is no name of a folder", _WAY_OUT)
    if len(found["class_folders"]) != len(found["class_names"]):
        raise refusal(path, _KIND, "has not as many `class_folders` as `class_names`", _WAY_OUT)
    return found


def _in_recorded_order(folder: Path, files: list[tuple[Path, int]], recorded: list[str]) -> list[tuple[Path, int]]:
    there = {path.relative_to(folder).as_posix(): (path, label) for path, label in files}
    changed = sorted(there.keys() ^ set(recorded))
    if changed:
        reason = "which is not there" if changed[0] not in there else "which was added"
        raise refusal(folder / FACTS, _KIND, f"does not fit the images: see {changed[0]!r}, {reason}", _WAY_OUT)
    return [there[name] for name in recorded]
