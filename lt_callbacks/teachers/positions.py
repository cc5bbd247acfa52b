from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from lt_callbacks._errors import ArgumentValueError


class Positioned(NamedTuple):
    """A batch as the user's loader makes it, and beside it, out of everybody's way, where its samples come from.

    Attributes:
        batch: The user's own.
        positions: (B,) int64 in the dataset.
    """

    batch: Any
    positions: Tensor


def with_positions(loader: Any) -> DataLoader[Positioned]:
    """The same loader, with each batch beside the positions of its samples.

    Raises:
        ValueError: It is no ``DataLoader`` that draws samples from a map-style dataset by position.
    """
    is_map_style = isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset)
    if not is_map_style or loader.batch_sampler is None:
        raise ArgumentValueError(
            "datamodule",
            rule="say which sample is which to an objective that remembers every sample",
            got=f"no named index in the batches, and {_kind(loader)} to which none can be added",
            way_out="Yield each sample's position with its batch and name its place by `index_from`.",
        )
    return DataLoader(
        _PositionedDataset(loader.dataset),
        batch_sampler=loader.batch_sampler,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        collate_fn=_PositionedCollate(loader.collate_fn or default_collate),
    )


def _kind(loader: Any) -> str:
    if not isinstance(loader, DataLoader):
        return f"a {type(loader).__name__}"
    return f"a DataLoader over {type(loader.dataset).__name__} with batch_size={loader.batch_size}"


class _PositionedDataset(Dataset[Any]):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        return self.dataset[position], position

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Any, int]]:
        """A whole batch at once, as PyTorch asks a dataset that can."""
        at_once = getattr(self.dataset, "__getitems__", None)
        items = at_once(positions) if at_once else [self.dataset[position] for position in positions]
        return list(zip(items, positions, strict=True))


class _PositionedCollate:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[tuple[Any, int]]) -> Positioned:
        index = torch.tensor([int(position) for _, position in samples])
        return Positioned(self.collate([item for item, _ in samples]), index)
