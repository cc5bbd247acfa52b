from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

#: A position in a tuple or list, or a key of a mapping.
BatchField = int | str


@dataclass(frozen=True, kw_only=True)
class BatchFields:
    """Where images, given labels and sample indices stand in a batch.

    Attributes:
        images_from: Key or position; None: the first item.
        label_from: Key or position; None: the second item, or the key ``"label"`` of a mapping.
        index_from: Key or position; None: the key ``"index"`` of a mapping, and no place in a tuple, where a third item
            may be anything.

    Raises:
        TypeError: A place is neither a position nor a key.
    """

    images_from: BatchField | None = None
    label_from: BatchField | None = None
    index_from: BatchField | None = None

    def __post_init__(self) -> None:
        for name, place in vars(self).items():
            if place is not None and (isinstance(place, bool) or not isinstance(place, int | str)):
                raise ArgumentTypeError(
                    name,
                    rule="be a position or key of the batch, or None",
                    got=repr(place),
                    way_out='Pass a number such as 2, or a name such as "index".',
                )

    def images(self, batch: Any) -> Tensor:
        """The batch's images; a ValueError where there is no tensor."""
        first = next(iter(batch), None) if isinstance(batch, Mapping) else 0
        return self._tensor(batch, self.images_from, first, argument="images_from")

    def label(self, batch: Any) -> Tensor:
        """The batch's given labels; a ValueError where there is no tensor."""
        return self._tensor(batch, self.label_from, "label" if isinstance(batch, Mapping) else 1, argument="label_from")

    def index(self, batch: Any) -> Tensor:
        """The batch's sample indices; a ValueError where there are no integers."""
        found = self._tensor(batch, self.index_from, "index", argument="index_from")
        if found.ndim != 1 or found.is_floating_point() or found.is_complex():
            raise ArgumentValueError(
                "index_from",
                rule="name the samples' positions in the training set, (B,) integers",
                got=f"{found.dtype} of shape {tuple(found.shape)} from {self.index_from!r}",
                way_out="Name the item that holds them, or leave it None and positions are added.",
            )
        return found

    def names_index(self, batch: Any) -> bool:
        """Whether the batch has a named place for the index; nobody has to guess then."""
        return self.index_from is not None or (isinstance(batch, Mapping) and isinstance(batch.get("index"), Tensor))

    def _tensor(self, batch: Any, place: BatchField | None, default: Any, *, argument: str) -> Tensor:
        found = get_field(batch, default if place is None else place)
        if isinstance(found, Tensor):
            return found
        if place is not None:
            raise ArgumentValueError(
                argument,
                rule="name a tensor in the batches",
                got=f"{type(found).__name__} from {place!r} in {describe_batch(batch)}",
                way_out="Name one of its items.",
            )
        what = "an index" if argument == "index_from" else "(image, label) tensors"
        raise ArgumentValueError(
            "datamodule",
            rule=f"give training batches that hold {what}",
            got=describe_batch(batch),
            way_out=f"Name the item by `{argument}`.",
        )


def get_field(batch: Any, place: Any) -> Any:
    """The item of a batch at a position or key; None where there is none."""
    try:
        return batch[place]
    except (KeyError, IndexError, TypeError):
        return None


def describe_batch(batch: Any) -> str:
    """What a batch is made of, for a message."""
    if isinstance(batch, Mapping):
        return f"a {type(batch).__name__} with keys {list(batch)}"
    if isinstance(batch, tuple | list):
        return f"a {type(batch).__name__} of {[type(item).__name__ for item in batch]}"
    return f"a {type(batch).__name__}"
