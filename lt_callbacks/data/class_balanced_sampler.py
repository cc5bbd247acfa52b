# Legend: N samples, R ranks.
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DistributedSampler

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.data.class_balance import ClassBalance
from lt_callbacks.data.order import EpochOrder


class ClassBalancedSampler(DistributedSampler[Any]):
    """Samples drawn so that rare classes come as often as frequent ones, right on any number of ranks.

    For a loader of one's own: ``DataLoader(dataset, batch_size=..., sampler=ClassBalancedSampler(labels=...))``.
    Lightning leaves it in place and announces each epoch; in a hand-written loop call ``set_epoch``.

    An epoch is N draws with replacement, a function of (seed, epoch) alone. R ranks take disjoint parts of the very
    draws that one process takes, dealt out one by one: with R times the batch size, one process has the same global
    batches. Nothing is repeated to fill up; the last N modulo R draws are left out, so that all ranks take the same
    number of steps. Rank and number of ranks are those of ``torch.distributed`` when it is iterated.

    ``LongTailedDataModule(sampling="class_balanced")`` has the same draws where it has the same samples and seed.

    Args:
        labels: (N,) integers >= 0, tensor, array or sequence: the class of each sample of the data set, as given. A
            class without samples is never drawn.
        balance: In [0, 1]. A draw is of class c with probability proportional to n_c^(1 - balance). 1: all classes
            equally often; 0: all samples equally often; 0.5: classes by the square root of their sizes.
        seed: Of the draws, >= 0.

    Raises:
        TypeError, ValueError: ``labels`` are no class numbers, or a number is out of range; on iteration: there are
            fewer samples than ranks.

    Reference: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (arXiv 1910.09217), section 3.

    Example:
        >>> sampler = ClassBalancedSampler(labels=[0] * 90 + [1] * 10)
        >>> sum(position >= 90 for position in sampler) > 30
        True
    """

    def __init__(self, *, labels: Any, balance: float = 1.0, seed: int = 0) -> None:
        labels = _as_tensor(labels)
        seed = integer("seed", seed, at_least=0)
        self._order = EpochOrder(
            indices=torch.arange(len(labels) if labels.ndim else 0),
            batch_size=1,
            shuffle=True,
            seed=seed,
            class_balance=ClassBalance(labels=labels, balance=balance),
        )
        # Its own numbers of ranks are not used: there may be no process group yet.
        super().__init__(labels, num_replicas=1, rank=0, seed=seed)

    def __len__(self) -> int:
        return len(self._order.indices) // _num_ranks()

    def __iter__(self) -> Iterator[int]:
        num_ranks = _num_ranks()
        if len(self) == 0:
            raise ArgumentValueError(
                "labels",
                rule=f"hold at least one sample a rank, {num_ranks}",
                got=str(len(self._order.indices)),
                way_out="Use fewer devices or more data.",
            )
        self._order.set_epoch(self.epoch)
        rank = dist.get_rank() if num_ranks > 1 else 0
        yield from self._order.order()[rank::num_ranks][: len(self)].tolist()


def _as_tensor(labels: Any) -> Tensor:
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ArgumentTypeError(
            "labels",
            rule="be integers, one a sample",
            got=type(labels).__name__,
            way_out="Pass `dataset.targets`, or a list of class numbers.",
        ) from error


def _num_ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
