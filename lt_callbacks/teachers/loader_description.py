from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import ConcatDataset

from lt_callbacks.teachers.description import as_text
from lt_callbacks.teachers.frozen import tensors_sha256


def describe_sampling(loader: Any) -> dict[str, Any] | None:
    """How a loader draws its batches, as JSON values: kinds of sampler, replacement, draws an epoch, weights.

    Args:
        loader: A ``DataLoader``, or whatever a datamodule gives in its place.

    Returns:
        None where the loader has no sampler.
    """
    sampler = getattr(loader, "sampler", None)
    if sampler is None:
        return None
    facts: dict[str, Any] = {"sampler": type(sampler).__name__}
    if getattr(loader, "batch_sampler", None) is not None:
        facts["batch_sampler"] = type(loader.batch_sampler).__name__
    for name, holder in (("drop_last", loader), ("replacement", sampler), ("num_samples", sampler)):
        value = getattr(holder, name, None)
        if isinstance(value, bool | int):
            facts[name] = value
    weights = getattr(sampler, "weights", None)
    if isinstance(weights, torch.Tensor):
        facts["weights"] = tensors_sha256({"weights": weights})
    return facts


def describe_transforms(dataset: Any) -> list[str] | None:
    """What a dataset, and the datasets that it is made of, do to their images, as text without memory addresses.

    Returns:
        None where none of them has a ``transform``.
    """
    texts = [as_text(part.transform) for part in _parts(dataset) if getattr(part, "transform", None) is not None]
    return texts or None


def _parts(dataset: Any) -> Iterator[Any]:
    """The dataset itself and what it wraps or joins."""
    yield dataset
    inner = dataset.datasets if isinstance(dataset, ConcatDataset) else [getattr(dataset, "dataset", None)]
    for part in inner:
        if part is not None:
            yield from _parts(part)
