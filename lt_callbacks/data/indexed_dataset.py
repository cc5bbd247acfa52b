from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from lt_callbacks._errors import ArgumentTypeError, DataError


class IndexedDataset(Dataset[tuple[Any, Any, int]]):
    """A map-style dataset of ``(image, label)`` that also says which sample it is: ``(image, label, index)``.

    The index is the position in the dataset, whatever the sampler, and so the sample's identity for memories of labels
    and predictions.

    Args:
        dataset: Has ``__getitem__`` with an integer and ``__len__``; its items are pairs.
    """

    #: The third item is the sample's identity, whoever reads it.
    gives_sample_index = True

    def __init__(self, dataset: Dataset[Any]) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise ArgumentTypeError(
                "dataset",
                rule="be map-style, with `__getitem__` and `__len__`",
                got=type(dataset).__name__,
                way_out="Turn a stream into a list or an array first: its samples have no identity.",
            )
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # checked in __init__

    def __getitem__(self, index: int) -> tuple[Any, Any, int]:
        position = int(index)
        if not -len(self) <= position < len(self):
            # Iteration over a sequence ends with this error and no other.
            raise IndexError(f"`index` must be below {len(self)}; got {position}. Use a sampler over this dataset.")
        position %= len(self)
        item = self.dataset[position]
        if not isinstance(item, tuple | list) or len(item) != 2:
            got = f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
            # Not an error of an argument: a loader's workers pass on what can be made from a message alone.
            raise DataError(
                f"`dataset` must have pairs (image, label) as items; got {got} as item {position}. "
                "Wrap it in a dataset that returns the pair."
            )
        image, label = item
        return image, label, position


def add_index(dataset: Dataset[Any]) -> IndexedDataset:
    """Make the items of your own dataset ``(image, label, index)``; see `IndexedDataset`."""
    return IndexedDataset(dataset)
