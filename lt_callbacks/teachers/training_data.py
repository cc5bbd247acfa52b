from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.objectives import Objective
from lt_callbacks.teachers.batch_fields import BatchFields
from lt_callbacks.teachers.dataset_fingerprint import dataset_fingerprint
from lt_callbacks.teachers.loader_description import describe_sampling, describe_transforms
from lt_callbacks.teachers.positions import with_positions
from lt_callbacks.teachers.sample_index import gives_index, indexed_dataset


@dataclass(frozen=True)
class IndexedLoader:
    """A training loader whose batches say which samples they hold.

    Attributes:
        loader: Its batches are the user's own, or `Positioned` ones.
        num_samples: One more than the largest index.
        adds_positions: Whether batches are `Positioned`.
        fields: Where the index stands in the user's batches, where it does.
    """

    loader: Any
    num_samples: int
    adds_positions: bool
    fields: BatchFields


@dataclass(frozen=True)
class TrainingData:
    """What an objective has to know of a user's training data.

    Attributes:
        datamodule: The user's own, set up.
        fields: Where things stand in its batches.
        loader: Its training loader.
        class_counts: (C,) int64 given labels.
        num_samples: Samples of an epoch's set.
        num_classes: C.
        batch_size: Samples a batch, where the loader says so.
        fingerprint: SHA-256 of the samples, where there is one.
        sampling: How the loader draws, see `describe_sampling`.
        transforms: What the dataset does to its images, see `describe_transforms`.
        seed: Of order and augmentation, where the datamodule has one of its own.
    """

    datamodule: LightningDataModule
    fields: BatchFields
    loader: Any
    class_counts: Tensor
    num_samples: int
    num_classes: int
    batch_size: int | None
    fingerprint: str | None
    sampling: dict[str, Any] | None
    transforms: list[str] | None
    seed: int | None

    def as_it_is(self) -> IndexedLoader:
        """The training loader for whoever asks for no index."""
        return IndexedLoader(self.loader, self.num_samples, adds_positions=False, fields=self.fields)

    def indexed(self) -> IndexedLoader:
        """The training loader with the samples' identity: by its named place, or by positions that are added.

        Raises:
            ValueError: There is no such place and positions cannot be added, or what stands there are no integers.
        """
        fields, known = self.fields, getattr(self.datamodule, "num_samples", None)
        if fields.index_from is None and gives_index(self.loader):
            dataset = indexed_dataset(self.loader)
            fields = BatchFields(**{**vars(fields), "index_from": 2})
            known = len(dataset) if known is None and dataset is not None else known
        elif fields.index_from is None and not fields.names_index(next(iter(self.loader))):
            loader = with_positions(self.loader)
            return IndexedLoader(loader, len(loader.dataset), adds_positions=True, fields=fields)  # type: ignore[arg-type]
        if known is None:
            known = 1 + max(int(fields.index(batch).max()) for batch in self.loader)
        return IndexedLoader(self.loader, int(known), adds_positions=False, fields=fields)


def training_data(datamodule: LightningDataModule, fields: BatchFields | None = None) -> TrainingData:
    """A user's training data with its facts: from the datamodule's attributes, or by one pass over its labels.

    Args:
        datamodule: Its ``prepare_data`` and ``setup("fit")`` are called.
        fields: Where images and labels stand in its batches; None: (image, label).

    Raises:
        TypeError: Not a datamodule.
        ValueError: Its training batches do not hold (image, label), or labels are no class numbers.
    """
    fields = fields or BatchFields()
    check_datamodule(datamodule)
    datamodule.prepare_data()
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    counts, size = getattr(datamodule, "class_counts", None), getattr(datamodule, "num_samples", None)
    if counts is None:
        # A rare class may be missing from the training share; the network has it all the same.
        labels = _labels(loader, fields)
        labels = labels[labels != Objective.ignore_index]
        counts = torch.bincount(labels, minlength=int(getattr(datamodule, "num_classes", None) or 0))
    if size is None:
        dataset = getattr(loader, "dataset", None)
        size = len(dataset) if isinstance(dataset, Sized) else int(torch.as_tensor(counts).sum())
    identity = getattr(datamodule, "fingerprint", None)
    if identity is None:
        identity = dataset_fingerprint(getattr(loader, "dataset", None))
    seed = getattr(datamodule, "seed", None)
    return TrainingData(
        datamodule=datamodule,
        fields=fields,
        loader=loader,
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
            way_out="Pass `LightningDataModule.from_datasets(train_dataset, batch_size=...)`, or one whose "
            "`train_dataloader` returns your loader.",
        )


def _batch_size(loader: Any) -> int | None:
    size = getattr(loader, "batch_size", None)
    return getattr(getattr(loader, "batch_sampler", None), "batch_size", None) if size is None else size


def _labels(loader: Any, fields: BatchFields) -> Tensor:
    """The given labels of all samples, without loading images where the dataset keeps its labels."""
    dataset = getattr(loader, "dataset", None)
    targets = getattr(dataset, "targets", None)
    is_another = fields.label_from not in (None, 1, "label")
    if targets is None or is_another or getattr(dataset, "target_transform", None) is not None:
        labels = torch.cat(list(_given(loader, fields)))
    else:
        labels = torch.as_tensor(targets)
    is_class_numbers = labels.ndim == 1 and not labels.is_floating_point() and not labels.is_complex()
    # Samples without a label are trained on by nobody, and take no part in the objectives.
    if not is_class_numbers or bool(((labels < 0) & (labels != Objective.ignore_index)).any()):
        least = f", least {labels.min().item()}" if is_class_numbers else ""
        raise ArgumentValueError(
            "datamodule",
            rule="have class numbers >= 0 as training labels, one a sample",
            got=f"{labels.dtype} of shape {tuple(labels.shape)}{least}",
            way_out="Number the classes from 0, name the labels by `label_from`, or give the datamodule "
            "`class_counts`.",
        )
    return labels.long()


def _given(loader: Any, fields: BatchFields) -> Iterator[Tensor]:
    for batch in loader:
        # Also where nothing is read of them: a wrong place is found before any training.
        fields.images(batch)
        yield fields.label(batch).cpu()
