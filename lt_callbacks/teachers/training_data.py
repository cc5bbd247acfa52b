from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.teachers.dataset_fingerprint import dataset_fingerprint
from lt_callbacks.teachers.loader_description import describe_sampling, describe_transforms


@dataclass(frozen=True)
class TrainingData:
    """What an objective has to know of a user's training data.

    Attributes:
        loader: Gives the training loader; its argument says whether batches must hold an index.
        class_counts: (C,) int64 given labels.
        num_samples: Size of a memory by index.
        num_classes: C.
        batch_size: Samples a batch, where the loader says so.
        fingerprint: SHA-256 of the samples, where there is one.
        sampling: How the loader draws, see `describe_sampling`.
        transforms: What the dataset does to its images, see `describe_transforms`.
        seed: Of order and augmentation, where the datamodule has one of its own.
    """

    loader: Callable[[bool], Any]
    class_counts: Tensor
    num_samples: int
    num_classes: int
    batch_size: int | None
    fingerprint: str | None
    sampling: dict[str, Any] | None
    transforms: list[str] | None
    seed: int | None


def training_data(datamodule: LightningDataModule) -> TrainingData:
    """A user's training data with its facts: from the datamodule's attributes, or by one pass over its labels.

    Raises:
        TypeError: Not a datamodule.
        ValueError: Its training batches do not start with (image, label), or labels are no class numbers.
    """
    check_datamodule(datamodule)
    datamodule.prepare_data()
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    counts, size = getattr(datamodule, "class_counts", None), getattr(datamodule, "num_samples", None)
    if counts is None:
        # A rare class may be missing from the training share; the network has it all the same.
        counts = torch.bincount(_labels(loader), minlength=int(getattr(datamodule, "num_classes", None) or 0))
    if size is None:
        dataset = getattr(loader, "dataset", None)
        size = len(dataset) if isinstance(dataset, Sized) else int(torch.as_tensor(counts).sum())
    identity = getattr(datamodule, "fingerprint", None)
    if identity is None:
        identity = dataset_fingerprint(getattr(loader, "dataset", None))
    seed = getattr(datamodule, "seed", None)
    return TrainingData(
        loader=lambda needs_index: _with_index(loader) if needs_index else loader,
        class_counts=torch.as_tensor(counts),
        num_samples=int(size),
        num_classes=len(counts),
        batch_size=_batch_size(loader),
        fingerprint=identity,
        sampling=describe_sampling(loader),
        transforms=describe_transforms(getattr(loader, "dataset", None)),
        seed=seed if isinstance(seed, int) else None,
    )


def check_datamodule(datamodule: object) -> None:
    """Refuse what is no ``LightningDataModule`` with a TypeError."""
    if not isinstance(datamodule, LightningDataModule):
        raise ArgumentTypeError(
            "datamodule",
            rule="be a LightningDataModule",
            got=type(datamodule).__name__,
            way_out="Wrap loaders with `LightningDataModule.from_datasets`.",
        )


def _batch_size(loader: Any) -> int | None:
    size = getattr(loader, "batch_size", None)
    return getattr(getattr(loader, "batch_sampler", None), "batch_size", None) if size is None else size


def _labels(loader: Any) -> Tensor:
    """The given labels of all samples, without loading images where the dataset keeps its labels."""
    dataset = getattr(loader, "dataset", None)
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        labels = torch.cat([batch_parts(batch)[1].cpu() for batch in loader])
    else:
        labels = torch.as_tensor(targets)
    is_class_numbers = labels.ndim == 1 and not labels.is_floating_point() and not labels.is_complex()
    if not is_class_numbers or bool((labels < 0).any()):
        least = f", least {labels.min().item()}" if is_class_numbers else ""
        raise ArgumentValueError(
            "datamodule",
            rule="have class numbers >= 0 as training labels, one a sample",
            got=f"{labels.dtype} of shape {tuple(labels.shape)}{least}",
            way_out="Number the classes from 0, or give the datamodule `class_counts`.",
        )
    return labels.long()


def batch_parts(batch: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images, labels and, where a batch has it, the sample index.

    Raises:
        ValueError: The batch is no (image, label) tuple.
    """
    is_known = isinstance(batch, tuple | list) and len(batch) >= 2 and isinstance(batch[1], Tensor)
    if not is_known:
        held = f"keys {list(batch)}" if isinstance(batch, Mapping) else f"{type(batch).__name__}"
        raise ArgumentValueError(
            "datamodule",
            rule="give training batches that start with (image, label) tensors",
            got=held,
            way_out="Give a collate function that returns them in this order.",
        )
    index = batch[2] if len(batch) > 2 and isinstance(batch[2], Tensor) and not batch[2].is_floating_point() else None
    return batch[0], batch[1], index


def _with_index(loader: Any) -> Any:
    """``loader`` if its batches hold an index, otherwise the same loader over samples that know their position."""
    if batch_parts(next(iter(loader)))[2] is not None:
        return loader
    is_map_style = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not is_map_style or loader.batch_sampler is None:
        raise ArgumentValueError(
            "datamodule",
            rule="give batches (image, label, index) to an objective that remembers every sample",
            got=f"no index in the third place, and {_kind(loader)} to which none can be added",
            way_out="Yield the sample's position as third item.",
        )
    shared = {
        "num_workers": loader.num_workers,
        "pin_memory": loader.pin_memory,
        "persistent_workers": loader.persistent_workers,
        "worker_init_fn": loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "collate_fn": _IndexedCollate(loader.collate_fn or default_collate),
    }
    return DataLoader(_Positioned(loader.dataset), batch_sampler=loader.batch_sampler, **shared)


def _kind(loader: Any) -> str:
    if not isinstance(loader, DataLoader):
        return f"a {type(loader).__name__}"
    return f"a DataLoader over {type(loader.dataset).__name__} with batch_size={loader.batch_size}"


class _Positioned(Dataset[Any]):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        return self.dataset[position], position


class _IndexedCollate:
    """Puts the samples' positions behind what the user's own collate function returns."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[tuple[Any, int]]) -> tuple[Any, ...]:
        image, label, *_ = self.collate([item for item, _ in samples])
        return image, label, torch.tensor([position for _, position in samples])
