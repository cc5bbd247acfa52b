from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, Subset, default_collate


def gives_index(loader: Any) -> bool:
    """Whether a loader's batches are surely ``(image, label, index)``, the index being the samples' identity.

    So are those of this package's loaders, and of a ``DataLoader`` with its own collate function over `add_index` of a
    dataset or a ``Subset`` of that. What stands third in other batches may be anything, such as a true label or a flag.
    """
    return getattr(type(loader), "gives_sample_index", False) is True or indexed_dataset(loader) is not None


def indexed_dataset(loader: Any) -> Any:
    """The dataset whose positions are the indices of a ``DataLoader``'s batches; None where there is no such."""
    if not isinstance(loader, DataLoader) or loader.collate_fn is not default_collate:
        return None
    dataset = loader.dataset
    # Other wrappers may change the items.
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return dataset if getattr(type(dataset), "gives_sample_index", False) is True else None
