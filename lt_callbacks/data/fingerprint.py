from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.data.file_hashes import file_hashes
from lt_callbacks.data.image_set import ImageSet, Source

_FORMAT_VERSION = 1

# Raised where files are read into other pixels, or identified otherwise; what is in memory keeps its identity.
_FILES_FORMAT_VERSION = 2


def data_fingerprint(
    source: Source, indices: np.ndarray, *, manifest_sha256: str, split: dict[str, Any], augment: bool
) -> str:
    """SHA-256 of all that decides which images and labels a network is trained on.

    It holds no path, device or version, so that a stored teacher is found again on another machine. Image files count
    by their content, which is read once and then remembered, see `file_hashes`.

    Args:
        source: The clean data.
        indices: (N,) positions in ``source.train`` that are left after the imbalance.
        manifest_sha256: Of the labels.
        split: Settings of the held-out share, as JSON holds them.
        augment: Whether training views are random.
    """
    content = {
        "format": _FORMAT_VERSION,
        "images": _images_sha256(source.train, indices),
        "manifest": manifest_sha256,
        "split": split,
        "view": {
            "augment": augment,
            "crop_padding": source.crop_padding,
            "flip": source.flip,
            "image_size": source.image_size,
            "mean": source.mean,
            "std": source.std,
        },
    }
    return sha256(canonical_json(content))


def source_sha256(source: Source) -> str:
    """SHA-256 of all that a data set holds before it is corrupted: images, labels and names, in training and test."""
    parts = {"train": source.train, **({} if source.test is None else {"test": source.test})}
    content = {
        name: [_images_sha256(part, np.arange(len(part))), sha256(part.labels.astype("<i8").tobytes())]
        for name, part in parts.items()
    }
    return sha256(canonical_json({"format": _FORMAT_VERSION, "class_names": source.class_names, **content}))


def _images_sha256(part: ImageSet, indices: np.ndarray) -> str:
    """SHA-256 of the pixels, or of the files' bytes; in the order of the samples."""
    if isinstance(part.images, Tensor):
        digest = hashlib.sha256(canonical_json(list(part.images.shape[1:])))
        for start in range(0, len(indices), 1024):
            some = torch.tensor(indices[start : start + 1024])
            digest.update(part.images.index_select(0, some).numpy().data)
        return digest.hexdigest()
    hashes = file_hashes([part.images[position] for position in indices])
    return sha256(canonical_json({"files": _FILES_FORMAT_VERSION}) + b"".join(hashes))
