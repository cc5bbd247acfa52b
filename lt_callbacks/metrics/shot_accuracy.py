# Legend: B batch, C classes.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._tensors import check_integers, check_range, kind_of
from lt_callbacks.metrics.class_groups import class_groups


class ShotAccuracy(Metric):
    """Accuracy overall, and over classes with many, a medium number of, and few training samples.

    Overall accuracy hides the tail. A group's accuracy is the mean of the accuracies of its classes, so that each class
    counts the same whatever its share of the test set; ``all`` is the share of right predictions, which equals the
    mean over classes on a balanced test set.

    Args:
        class_counts: (C,) TRUE classes in the training set; see :func:`class_groups`.
        thresholds: None for thirds of the classes, ``(20, 100)`` for the rule of ImageNet-LT.

    ``update(preds, target, index=None)`` takes ``preds`` (B, C) logits or probabilities, or (B,) class numbers, and
    ``target`` (B,) class numbers. A row of logits with NaN counts as wrong. ``compute()`` returns ``"all"``,
    ``"many"``, ``"medium"``, ``"few"`` -> 0-d tensor in [0, 1]; a group is left out when it has no class, or none of
    its classes was in a target. Before the first update ``"all"`` is NaN.

    With ``index``, (B,) integers that say which sample it is, every sample counts once over all batches and ranks, so
    that a sampler which repeats samples to give all ranks as many, as ``DistributedSampler`` does, changes nothing. Of
    several copies the first one counts, in the order of ranks. Give it in every update or in none. It takes 24 bytes a
    sample, and when R ranks compute, R times those of the largest share.

    Raises:
        TypeError: ``preds``, ``target`` or ``index`` of the wrong kind.
        ValueError: ``class_counts``, ``thresholds`` or shapes are wrong, or, on the CPU, a target is out of range; in
            ``compute()``, on all ranks alike: some updates had an index and some had none.

    Example:
        >>> metric = ShotAccuracy(class_counts=[100, 30, 5])
        >>> metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
        >>> metric.compute()["few"]
        tensor(0.)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    correct: Tensor
    total: Tensor
    outcomes: list[Tensor]

    def __init__(self, *, class_counts: Any, thresholds: Sequence[float] | None = None) -> None:
        super().__init__()
        self.groups = class_groups(class_counts, thresholds=thresholds)
        self.num_classes = len(class_counts)
        self.add_state("correct", torch.zeros(self.num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(self.num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        # (B, 3): index, target, whether it was predicted.
        self.add_state("outcomes", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor, index: Tensor | None = None) -> None:
        """Count the right predictions and the samples of every class."""
        self._check(preds, target)
        target = target.long()
        way_out = "Leave out samples whose class is not known."
        check_range("target", target, below=self.num_classes, way_out=way_out)
        predicted = preds
        if preds.is_floating_point():
            predicted = preds.argmax(dim=1).masked_fill(preds.isnan().any(dim=1), -1)
        is_right = (predicted == target).long()
        if index is None:
            self.total, self.correct = self._added(target, is_right)
        else:
            _check_index(index, target)
            self.outcomes.append(torch.stack([index.to(target), target, is_right], dim=1))

    def compute(self) -> dict[str, Tensor]:
        """Accuracy overall and by group, as 0-d tensors in [0, 1]."""
        total, correct = self._counts()
        per_class = correct / total
        seen = ~per_class.isnan()
        result = {"all": correct.sum() / total.sum()}
        for name, members in self.groups.items():
            members = members.to(per_class.device)
            members = members[seen[members]]
            if len(members):
                result[name] = per_class[members].mean()
        return result

    def per_class(self) -> Tensor:
        """(C,) accuracy of every class, NaN for a class that was in no target; over all ranks, so call it on all."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            total, correct = self._counts()
            return correct / total

    def _counts(self) -> tuple[Tensor, Tensor]:
        """(C,) samples and (C,) right predictions, each sample with an index once."""
        if not len(self.outcomes):
            return self.total, self.correct
        outcomes = dim_zero_cat(self.outcomes)
        if len(outcomes) and bool(self.total.any()):
            raise ArgumentValueError(
                "index",
                rule="be given in every update or in none",
                got=f"{len(outcomes)} samples with one and {int(self.total.sum())} without",
                way_out="Pass the third item of every batch, and reset the metric each epoch.",
            )
        ascending, order = outcomes[:, 0].sort(stable=True)
        is_first = torch.ones_like(ascending, dtype=torch.bool)
        is_first[1:] = ascending[1:] != ascending[:-1]
        _, target, is_right = outcomes[order[is_first]].unbind(dim=1)
        return self._added(target, is_right)

    def _added(self, target: Tensor, is_right: Tensor) -> tuple[Tensor, Tensor]:
        total = self.total.scatter_add(0, target, torch.ones_like(target))
        return total, self.correct.scatter_add(0, target, is_right)

    def _sync_dist(self, dist_sync_fn: Any = gather_all_tensors, process_group: Any = None) -> None:
        # A rank without samples would give an empty float tensor to a gather of integers.
        if not self.outcomes:
            self.outcomes = [torch.empty(0, 3, dtype=torch.int64, device=self.total.device)]
        super()._sync_dist(dist_sync_fn, process_group)

    def _check(self, preds: Tensor, target: Tensor) -> None:
        for name, tensor in (("preds", preds), ("target", target)):
            is_real = isinstance(tensor, Tensor) and not tensor.is_complex() and tensor.dtype != torch.bool
            if not is_real:
                raise ArgumentTypeError(
                    name,
                    rule="be a tensor of real numbers",
                    got=kind_of(tensor),
                    way_out="Pass `torch.as_tensor(...)`, of logits or class numbers.",
                )
        if target.is_floating_point() or target.ndim != 1:
            raise ArgumentValueError(
                "target",
                rule="be class numbers of shape (B,)",
                got=f"{target.dtype} of shape {tuple(target.shape)}",
                way_out="Pass the true labels, not one-hot rows.",
            )
        shape = (len(target), self.num_classes) if preds.is_floating_point() else (len(target),)
        if preds.shape != shape:
            raise ArgumentValueError(
                "preds",
                rule=f"be logits of shape ({len(target)}, {self.num_classes}) or class numbers of shape "
                f"({len(target)},)",
                got=f"{preds.dtype} of shape {tuple(preds.shape)}",
                way_out="Check `class_counts` and the model's number of classes.",
            )


def _check_index(index: Tensor, target: Tensor) -> None:
    check_integers("index", index, way_out="Pass the third item of the batch.")
    if index.shape != target.shape:
        raise ArgumentValueError(
            "index",
            rule=f"have shape {tuple(target.shape)}, one for each target",
            got=str(tuple(index.shape)),
            way_out="Pass the third item of the batch as it is.",
        )
