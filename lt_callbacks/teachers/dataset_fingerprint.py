from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.data.file_hashes import file_hashes

# Raised where files are identified otherwise.
_FILES_FORMAT_VERSION = 2


def dataset_fingerprint(dataset: Any) -> str | None:
    """SHA-256 of the samples of a map-style dataset of a known kind, before any transform; None for another kind.

    Known are ``TensorDataset``, ``Subset``, ``ConcatDataset``, datasets with arrays ``data`` and ``targets``
    (torchvision's CIFAR, MNIST) and with ``samples`` of (path, label) (torchvision's ImageFolder). Image files count by
    their content, see `file_hashes`. A dataset with a ``target_transform`` is none of them: the labels it gives are not
    the ones it keeps.
    """
    if getattr(dataset, "target_transform", None) is not None:
        return None
    if isinstance(dataset, TensorDataset):
        return sha256(b"".join(_array(tensor) for tensor in dataset.tensors))
    if isinstance(dataset, Subset):
        inner = dataset_fingerprint(dataset.dataset)
        return None if inner is None else sha256(inner.encode() + _array(np.asarray(dataset.indices, dtype=np.int64)))
    if isinstance(dataset, ConcatDataset):
        parts = [dataset_fingerprint(part) for part in dataset.datasets]
        return None if None in parts else sha256("".join(str(part) for part in parts).encode())
    data, targets = getattr(dataset, "data", None), getattr(dataset, "targets", None)
    if isinstance(data, np.ndarray | torch.Tensor) and targets is not None:
        if isinstance(data, torch.Tensor) or data.dtype.kind in "biufc":
            return sha256(_array(data) + _array(np.asarray(targets, dtype=np.int64)))
        # Paths; the bytes of an array of objects are addresses in memory.
        labels = np.asarray(targets).tolist()
        return _files_fingerprint(list(zip(data.tolist(), labels, strict=True))) if len(data) == len(labels) else None
    return _files_fingerprint(getattr(dataset, "samples", None))


def _files_fingerprint(samples: Any) -> str | None:
    """SHA-256 of a list of (path, label): of the files' content and the labels; None where it is no such list."""
    if not isinstance(samples, list) or not samples or not all(_is_labelled_file(sample) for sample in samples):
        return None
    paths, labels = zip(*samples, strict=True)
    # Sentences with their labels look the same, and may be too long for a path.
    if not os.path.isfile(paths[0]):  # noqa: PTH113
        return None
    header = canonical_json({"files": _FILES_FORMAT_VERSION})
    return sha256(header + b"".join(file_hashes(paths)) + _array(np.asarray(labels, dtype=np.int64)))


def _is_labelled_file(sample: Any) -> bool:
    return (
        isinstance(sample, tuple)
        and len(sample) == 2
        and isinstance(sample[0], str | os.PathLike)
        and isinstance(sample[1], int | np.integer)
    )


def _array(values: Any) -> bytes:
    array = np.ascontiguousarray(values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).digest()
