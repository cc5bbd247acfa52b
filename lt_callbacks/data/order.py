from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._arrays import as_array
from lt_callbacks._checks import integer
from lt_callbacks._counter_random import random_bits, stream_key
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._tensors import check_integers
from lt_callbacks.data.class_balance import ClassBalance


class BatchKey(NamedTuple):
    """All that decides a batch: which samples, and in which epoch's views."""

    epoch: int
    samples: Tensor


class EpochOrder:
    """The batches of an epoch as a function of (seed, epoch), shared out over ranks without repeating a sample.

    Every global batch of ``batch_size * num_replicas`` samples is dealt out sample by sample, so that all ranks take
    the same number of steps and no share is empty. The last global batch is smaller. Should it hold fewer samples than
    there are ranks, it is joined to the batch before; a share then has ``batch_size + 1`` samples at most.

    Iterating gives this rank's `BatchKey`s of the epoch that is set when the first one is asked for.

    Args:
        indices: (N,) int64, the samples' identities, on the device where the batches are wanted.
        batch_size: Samples of a full batch on each rank.
        shuffle: Whether each epoch has its own order; otherwise that of ``indices``.
        seed: Of the orders.
        num_replicas: Ranks that share the samples.
        rank: This one.
        class_balance: Draws among ``indices``, in whose place "a sample" above means a draw: the epoch has as many, and
            a sample may come several times or not at all. Without ``shuffle`` every epoch has the draws of the first.
            None: every sample once.

    Raises:
        TypeError: An argument is of another kind.
        ValueError: There are fewer samples than ranks, or ``class_balance`` is of another number of samples.
    """

    def __init__(
        self,
        *,
        indices: Tensor | np.ndarray,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        class_balance: ClassBalance | None = None,
    ) -> None:
        self.indices = _checked_indices(indices)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        if not isinstance(shuffle, bool):
            way_out = "False keeps the order of `indices`."
            raise ArgumentTypeError("shuffle", rule="be True or False", got=repr(shuffle), way_out=way_out)
        self.shuffle = shuffle
        self.seed = integer("seed", seed, at_least=0)
        self.num_replicas = integer("num_replicas", num_replicas, at_least=1)
        self.rank = integer("rank", rank, at_least=0, at_most=self.num_replicas - 1)
        self.class_balance = class_balance
        self.epoch = 0
        self._first_batch = 0
        if len(self.indices) < self.num_replicas:
            raise ArgumentValueError(
                "indices",
                rule=f"hold at least one sample a rank, {num_replicas}",
                got=str(len(self.indices)),
                way_out="Use fewer devices or a larger share of the data.",
            )
        if class_balance is not None and not isinstance(class_balance, ClassBalance):
            raise ArgumentTypeError(
                "class_balance",
                rule="be a ClassBalance or None",
                got=type(class_balance).__name__,
                way_out="Pass ClassBalance(labels=labels[indices]).",
            )
        if class_balance is not None and len(class_balance) != len(self.indices):
            raise ArgumentValueError(
                "class_balance",
                rule=f"be of the {len(self.indices)} samples in `indices`",
                got=f"{len(class_balance)} labels",
                way_out="Pass ClassBalance(labels=labels[indices]).",
            )

    def set_epoch(self, epoch: int) -> None:
        """Take the order of ``epoch`` from the next iteration on; Lightning calls it before each epoch."""
        self.epoch = integer("epoch", epoch, at_least=0)

    def start_at(self, batch: int) -> None:
        """Leave out the first ``batch`` batches of the next iteration, and only of that one."""
        self._first_batch = integer("batch", batch, at_least=0, at_most=len(self))

    def order(self) -> Tensor:
        """The samples of all ranks in the order of the epoch, (N,) int64; no host synchronisation."""
        if self.class_balance is not None:
            draws = self.class_balance.draws(seed=self.seed, epoch=self.epoch if self.shuffle else 0)
            return self.indices.index_select(0, draws)
        if not self.shuffle:
            return self.indices
        bits = random_bits(self.indices, stream_key("order", seed=self.seed, epoch=self.epoch))
        return self.indices.index_select(0, torch.argsort(bits, stable=True))

    def __len__(self) -> int:
        full, rest = divmod(len(self.indices), self.batch_size * self.num_replicas)
        return full + (rest >= self.num_replicas)

    def __iter__(self) -> Iterator[BatchKey]:
        first, self._first_batch = self._first_batch, 0
        order, epoch, size = self.order(), self.epoch, self.batch_size * self.num_replicas
        for batch in range(first, len(self)):
            stop = len(order) if batch == len(self) - 1 else (batch + 1) * size
            # a copy: a view would keep, and save, the whole order
            yield BatchKey(epoch, order[batch * size : stop][self.rank :: self.num_replicas].clone())


def _checked_indices(indices: Tensor | np.ndarray) -> Tensor:
    """(N,) integers as a tensor; one that is a tensor stays what it is."""
    if not isinstance(indices, Tensor):
        array = as_array("indices", indices, rule="be integers")
        if array.dtype.kind not in "iu":
            way_out = "Pass positions of samples."
            raise ArgumentTypeError("indices", rule="be integers", got=f"dtype {array.dtype}", way_out=way_out)
        # A copy: label arrays of a manifest are read-only.
        indices = torch.tensor(array.astype(np.int64))
    check_integers("indices", indices, way_out="Pass positions of samples.")
    if indices.ndim != 1:
        raise ArgumentValueError(
            "indices", rule="have shape (N,)", got=str(tuple(indices.shape)), way_out="Pass positions of samples."
        )
    return indices
