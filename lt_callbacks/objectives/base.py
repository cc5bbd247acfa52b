# Legend: B batch, C classes, N samples of the training set.
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentValueError, StateError
from lt_callbacks._ranks import all_ranks, share_lengths
from lt_callbacks.objectives.checks import check_batch, check_index, checked_counts, kept_samples


class Objective(nn.Module, ABC):
    """What one network minimises on labels that are noisy, long-tailed or both.

    The objective owns what its formula needs besides the batch (class prior, margins, a memory of the samples), so that
    one training step serves every objective. In eval mode every objective is plain cross-entropy of the logits as they
    are used for prediction: validation losses stay comparable between objectives, and no state is touched.

    Everything is computed in float32 or better, with autocast off, and the buffers stay in float32 when the module is
    cast to half precision.

    Under data parallelism the loss of a training step is scaled so that its mean over ranks, which is what averaging
    their gradients minimises, is the loss of one process with the batches of all ranks, whatever their shares: equal,
    unequal or empty. All ranks have to call it equally often. Micro-batches of an accumulated step count alike, as they
    do on one process.

    A sample whose label is ``ignore_index`` has none: it takes no part, and the mean is over the others. A batch of
    such samples alone has the loss 0. Any other label outside of [0, C) is an error: on the CPU by name; on a GPU,
    where nothing is read in a step, it stops the kernel.

    A subclass implements :meth:`losses`, :meth:`weights` where samples count differently in their mean, and, where it
    depends on the training set, :meth:`allocate` with ``needs_prepare = True``; tensors made there are declared by
    ``register_buffer(name, None)`` in the constructor, so that a checkpoint with them also loads into an objective that
    was not prepared.

    Attributes:
        spans_ranks: Whether all ranks train one model, the default. False: each trains its own, and none waits for the
            others. Without effect outside of ``torch.distributed``.
        ignore_index: The label of samples without one, as in torch's own cross-entropy; -100.
        last_batch_size: Samples in the last training step over all ranks, those without a label too.
    """

    needs_index: ClassVar[bool] = False
    #: The kind of ``build_model(head=...)`` whose logits the formula expects.
    head: ClassVar[str] = "linear"
    needs_prepare: bool = False
    ignore_index: int = -100

    _anchor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.num_classes: int | None = None
        self.spans_ranks = True
        self.last_batch_size = 0
        self._counts_from_one = False
        # Samples of each rank, inside a training step that ranks share.
        self._shares: list[int] | None = None
        # Knows the device of a module that has no parameters.
        self.register_buffer("_anchor", torch.empty(0, dtype=torch.float32), persistent=False)

    def prepare(self, *, class_counts: Tensor, num_samples: int, max_epochs: int) -> None:
        """Learn the training set's facts; call once before training, again to start afresh.

        Args:
            class_counts: (C,) how often each class is GIVEN in the training set; C >= 2, finite, >= 0, one above 0.
                A class that is never given counts as given once, so that its prior, margin and weight stay finite;
                frequencies, which lie between 0 and 1, are refused.
            num_samples: N, one more than the largest ``index`` a batch can hold.
            max_epochs: Length of the training, for schedules; >= 1.

        Raises:
            TypeError: A count or number has the wrong type.
            ValueError: A value is out of range.
        """
        counts = checked_counts(class_counts)
        # As `torch.bincount` counts labels 1..C.
        self._counts_from_one = bool(counts[0] == 0 and (counts[1:] > 0).all())
        counts = counts.clamp_min(1.0)
        integer("num_samples", num_samples, at_least=1)
        integer("max_epochs", max_epochs, at_least=1, hint="Give the trainer a limit of epochs.")
        self.epoch = 0
        self.num_classes = len(counts)
        device = self._anchor.device if class_counts.device.type == "cpu" else class_counts.device
        self.allocate(counts.to(device), num_samples=num_samples, max_epochs=max_epochs)

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Make the buffers from (C,) float64 ``class_counts`` >= 1, on their device; nothing by default."""

    def set_epoch(self, epoch: int) -> None:
        """Announce the epoch that begins, counted from 0; schedules depend on it."""
        self.epoch = integer("epoch", epoch, at_least=0)

    def forward(self, logits: Tensor, given_label: Tensor, index: Tensor | None = None) -> Tensor:
        """The mean loss of a batch.

        Args:
            logits: (B, C) floating, any dtype.
            given_label: (B,) integers in [0, C), or ``ignore_index``.
            index: (B,) integers in [0, N), the samples' identities; for objectives with ``needs_index``.

        Returns:
            A scalar, float32 (float64 for float64 logits). In training mode on several ranks it is this rank's part,
            times the number of ranks.

        Raises:
            TypeError: An argument is not a tensor of the right kind.
            ValueError: Shapes disagree, ``index`` is missing, or, on the CPU, a label or an index is out of range.
            RuntimeError: :meth:`prepare` was not called where it is needed.
        """
        check_batch(logits, given_label)
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            given_label = given_label.long()
            if self.training:
                self._check_ready(logits, index)
            kept = kept_samples(given_label, num_classes=logits.shape[1], ignore_index=self.ignore_index)
            if kept is not None:
                given_label = given_label.masked_fill(~kept, 0)
            if not self.training:
                return _mean(self.cross_entropy(logits, given_label), None if kept is None else kept.to(logits.dtype))
            index = None if index is None else index.long()
            group = all_ranks() if self.spans_ranks else None
            if group is None:
                self.last_batch_size = len(logits)
                return _mean(self._checked_losses(logits, given_label, index), self._counting(given_label, kept))
            return self._loss_over_ranks(logits, given_label, index, kept, group)

    @abstractmethod
    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """(B,) loss of each sample, on checked input: ``logits`` float32 or float64, integers int64, autocast off.

        On several ranks the samples are this rank's alone, and may be none.
        """

    def weights(self, given_label: Tensor) -> Tensor | None:
        """(B,) weights of the samples in the mean of :meth:`losses`, on the device; None: all count alike."""
        return None

    def cross_entropy(self, logits: Tensor, given_label: Tensor) -> Tensor:
        """(B,) cross-entropy of each sample, for :meth:`losses`; stops at every label that is out of range."""
        # Torch would let -100 by, also where another label stands for none.
        return F.cross_entropy(logits, given_label, reduction="none", ignore_index=self.ignore_index)

    def _checked_losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        losses = self.losses(logits, given_label, index)
        if losses.shape != given_label.shape:
            raise ArgumentValueError(
                "losses",
                rule=f"return one loss a sample, shape {tuple(given_label.shape)}",
                got=str(tuple(losses.shape)),
                way_out=f"Leave out the mean in {type(self).__name__}: it is taken here, over the samples that count.",
            )
        return losses

    def _counting(self, given_label: Tensor, kept: Tensor | None) -> Tensor | None:
        """(B,) how much each sample counts in the mean, 0 without a label; None: all count alike."""
        weights = self.weights(given_label)
        if kept is None:
            return weights
        return kept.to(torch.float32) if weights is None else torch.where(kept, weights, 0.0)

    # A compiler would take the lengths of the shares for constants.
    @torch.compiler.disable
    def _loss_over_ranks(
        self,
        logits: Tensor,
        given_label: Tensor,
        index: Tensor | None,
        kept: Tensor | None,
        group: dist.ProcessGroup,
    ) -> Tensor:
        self._shares = share_lengths(len(logits), group)
        try:
            losses = self._checked_losses(logits, given_label, index)
        finally:
            shares, self._shares = self._shares, None
        self.last_batch_size = sum(shares)
        counting = self._counting(given_label, kept)
        if counting is None:
            counting = losses.new_ones(len(losses))
        # Exchanged also where all samples of this rank count alike: another one may have some that do not.
        total = counting.sum(dtype=losses.dtype)
        dist.all_reduce(total, group=group)
        return len(shares) * _sum(losses, counting) / torch.where(total > 0, total, 1.0)

    def _check_ready(self, logits: Tensor, index: Tensor | None) -> None:
        name = type(self).__name__
        if self.needs_prepare and self.num_classes is None:
            raise StateError(
                f"{name} depends on the training set, which it was not told. Call "
                "`prepare(class_counts=..., num_samples=..., max_epochs=...)` before the first step."
            )
        if self.num_classes is not None and logits.shape[1] != self.num_classes:
            raise ArgumentValueError(
                "logits",
                rule=f"have {self.num_classes} columns, one for each entry of `class_counts`",
                got=f"shape {tuple(logits.shape)}",
                way_out=(
                    "Class 0 has no sample, so labels seem to count from 1: subtract 1 from them."
                    if self._counts_from_one and logits.shape[1] == self.num_classes - 1
                    else f"Build the model with num_classes={self.num_classes}."
                ),
            )
        if self.needs_index:
            check_index(name, index, batch_size=len(logits))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Objective:
        """Follow every move, but not a cast to less than float32."""

        def keep_precision(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            if moved.is_floating_point() and torch.finfo(moved.dtype).bits < 32:
                return tensor.to(moved.device)
            return moved

        return super()._apply(keep_precision, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Make room for buffers of a prepared objective, then load as usual."""
        for name, buffer in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if buffer is None and saved is not None:
                self._buffers[name] = torch.empty_like(saved, device=self._anchor.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _sum(losses: Tensor, counting: Tensor) -> Tensor:
    """Scalar sum of (B,) losses times (B,) weights; a loss of weight 0 adds nothing, also where it is not finite."""
    return torch.where(counting > 0, losses * counting.to(losses.dtype), 0.0).sum()


def _mean(losses: Tensor, counting: Tensor | None) -> Tensor:
    """Scalar mean of (B,) losses weighted by (B,) weights; of nothing it is 0."""
    if counting is None:
        return losses.mean() if len(losses) else losses.sum()
    total = counting.sum(dtype=losses.dtype)
    return _sum(losses, counting) / torch.where(total > 0, total, 1.0)
