# Legend: N samples, C classes.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._counter_random import random_uniforms, stream_key
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._tensors import check_integers

_GREATEST_LABEL = 2**24


class ClassBalance:
    """Draws of samples with replacement, in which rare classes come more often than they are.

    A draw is of class c with probability n_c^(1 - balance) / sum_j n_j^(1 - balance), n_c the samples of class c, and
    of each of its samples alike. A class without samples is never drawn. The draws are a function of (seed, epoch)
    alone: nothing is drawn from a generator, and a CPU and a GPU agree.

    Args:
        labels: (N,) int64 >= 0, the classes to balance; the draws are made on their device.
        balance: In [0, 1]. 1: all classes equally often; 0: all samples; 0.5: classes by the square root of their
            sizes.

    Raises:
        TypeError, ValueError: ``labels`` are not class numbers, or ``balance`` is out of range.

    Reference: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020
    (arXiv 1910.09217), Eq. 1 with q = 1 - balance.
    """

    def __init__(self, *, labels: Tensor, balance: float = 1.0) -> None:
        _check_labels(labels)
        self.balance = real("balance", balance, at_least=0.0, at_most=1.0, hint="1 draws all classes equally often.")
        labels = labels.long()
        self._by_class = labels.argsort(stable=True)
        # On the CPU: a GPU adds up in another order.
        counts = torch.bincount(labels.cpu()).double()
        mass = torch.where(counts > 0, counts ** (1.0 - self.balance), 0.0)
        self._counts = counts.to(labels.device)
        self._first = (counts.cumsum(0) - counts).to(labels.device)
        self._upper = (mass.cumsum(0) / mass.cumsum(0)[-1]).to(labels.device)

    def __len__(self) -> int:
        return len(self._by_class)

    def draws(self, *, seed: int, epoch: int) -> Tensor:
        """Draw as many samples as there are: (N,) int64 positions in ``labels``; no host synchronisation."""
        number = torch.arange(len(self._by_class), device=self._by_class.device)
        of_class = random_uniforms(number, stream_key("class", seed=seed, epoch=epoch))
        of_sample = random_uniforms(number, stream_key("sample of the class", seed=seed, epoch=epoch))
        drawn = torch.searchsorted(self._upper, of_class, right=True)
        place = self._first[drawn] + (of_sample * self._counts[drawn]).floor()
        return self._by_class[place.long()]


def _check_labels(labels: Tensor) -> None:
    check_integers("labels", labels, way_out="Pass `torch.as_tensor(dataset.targets)`.")
    if labels.ndim != 1 or len(labels) == 0:
        raise ArgumentValueError(
            "labels",
            rule="have shape (N,) with N >= 1",
            got=str(tuple(labels.shape)),
            way_out="Pass one class number a sample.",
        )
    if int(labels.min()) < 0:
        raise ArgumentValueError(
            "labels", rule="be >= 0", got=str(int(labels.min())), way_out="Number the classes from 0."
        )
    if int(labels.max()) > _GREATEST_LABEL:
        # Each class up to the largest has its count.
        raise ArgumentValueError(
            "labels",
            rule=f"be <= {_GREATEST_LABEL}",
            got=str(int(labels.max())),
            way_out="Number the classes from 0, without gaps.",
        )
