# Legend: B batch, C classes.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lt_callbacks.metrics.class_groups import class_groups


class ShotAccuracy(Metric):
    """Accuracy overall, and over classes with many, a medium number of, and few training samples.

    Overall accuracy hides the tail. A group's accuracy is the mean of the accuracies of its classes, so that each class
    counts the same whatever its share of the test set; ``all`` is the share of right predictions, which equals the
    mean over classes on a balanced test set.

    Args:
        class_counts: (C,) TRUE classes in the training set; see :func:`class_groups`.
        thresholds: None for thirds of the classes, ``(20, 100)`` for the rule of ImageNet-LT.

    ``update(preds, target)`` takes ``preds`` (B, C) logits or probabilities, or (B,) class numbers, and ``target`` (B,)
    class numbers. A row of logits with NaN counts as wrong. ``compute()`` returns ``"all"``, ``"many"``, ``"medium"``,
    ``"few"`` -> 0-d tensor in [0, 1]; a group is left out when it has no class, or none of its classes was in a target.
    Before the first update ``"all"`` is NaN.

    Raises:
        TypeError: ``preds`` or ``target`` of the wrong kind.
        ValueError: ``class_counts``, ``thresholds`` or shapes are wrong.

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

    def __init__(self, *, class_counts: Any, thresholds: Sequence[float] | None = None) -> None:
        super().__init__()
        self.groups = class_groups(class_counts, thresholds=thresholds)
        self.num_classes = len(torch.as_tensor(class_counts))
        self.add_state("correct", torch.zeros(self.num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(self.num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the right predictions and the samples of every class."""
        self._check(preds, target)
        target = target.long()
        predicted = preds
        if preds.is_floating_point():
            predicted = preds.argmax(dim=1).masked_fill(preds.isnan().any(dim=1), -1)
        self.total = self.total.scatter_add(0, target, torch.ones_like(target))
        self.correct = self.correct.scatter_add(0, target, (predicted == target).long())

    def compute(self) -> dict[str, Tensor]:
        """The accuracies by group."""
        per_class = self._per_class()
        seen = ~per_class.isnan()
        result = {"all": self.correct.sum() / self.total.sum()}
        for name, members in self.groups.items():
            members = members.to(per_class.device)
            members = members[seen[members]]
            if len(members):
                result[name] = per_class[members].mean()
        return result

    def per_class(self) -> Tensor:
        """(C,) accuracy of every class, NaN for a class that was in no target; over all ranks, so call it on all."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            return self._per_class()

    def _per_class(self) -> Tensor:
        return self.correct / self.total

    def _check(self, preds: Tensor, target: Tensor) -> None:
        for name, tensor in (("preds", preds), ("target", target)):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"`{name}` must be a tensor; got {type(tensor).__name__}. Pass `torch.as_tensor(...)`.")
        if target.is_floating_point() or target.ndim != 1:
            raise ValueError(
                f"`target` must be class numbers of shape (B,); got {target.dtype} of shape {tuple(target.shape)}. "
                "Pass the true labels, not one-hot rows."
            )
        shape = (len(target), self.num_classes) if preds.is_floating_point() else (len(target),)
        if preds.shape != shape:
            raise ValueError(
                f"`preds` must be logits of shape ({len(target)}, {self.num_classes}) or class numbers of shape "
                f"({len(target)},); got {preds.dtype} of shape {tuple(preds.shape)}. "
                "Check `class_counts` and the model's number of classes."
            )
