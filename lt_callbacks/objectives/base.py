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
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError, StateError
from lt_callbacks._ranks import all_ranks, share_lengths


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

    A subclass implements :meth:`loss`, :meth:`weights` where samples count differently in it, and, where it depends on
    the training set, :meth:`allocate` with ``needs_prepare = True``; tensors made there are declared by
    ``register_buffer(name, None)`` in the constructor, so that a checkpoint with them also loads into an objective that
    was not prepared.

    Attributes:
        spans_ranks: Whether all ranks train one model, the default. False: each trains its own, and none waits for the
            others. Without effect outside of ``torch.distributed``.
        last_batch_size: Samples in the last training step over all ranks, which its loss is the mean of.
    """

    needs_index: ClassVar[bool] = False
    #: The kind of ``build_model(head=...)`` whose logits the formula expects.
    head: ClassVar[str] = "linear"
    needs_prepare: bool = False

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
                A class that is never given counts as given once, so that its prior, margin and weight stay finite.
            num_samples: N, one more than the largest ``index`` a batch can hold.
            max_epochs: Length of the training, for schedules; >= 1.

        Raises:
            TypeError: A count or number has the wrong type.
            ValueError: A value is out of range.
        """
        counts = _checked_counts(class_counts)
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
            given_label: (B,) integers in [0, C).
            index: (B,) integers in [0, N), the samples' identities; for objectives with ``needs_index``.

        Returns:
            A scalar, float32 (float64 for float64 logits). In training mode on several ranks it is this rank's part,
            times the number of ranks.

        Raises:
            TypeError: An argument is not a tensor of the right kind.
            ValueError: Shapes disagree, or ``index`` is missing.
            RuntimeError: :meth:`prepare` was not called where it is needed.
        """
        _check_batch(logits, given_label)
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            given_label = given_label.long()
            if not self.training:
                return F.cross_entropy(logits, given_label)
            self._check_ready(logits, index)
            index = None if index is None else index.long()
            group = all_ranks() if self.spans_ranks else None
            if group is None:
                self.last_batch_size = len(logits)
                return self.loss(logits, given_label, index)
            return self._loss_over_ranks(logits, given_label, index, group)

    @abstractmethod
    def loss(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """The mean over samples, on checked input: ``logits`` float32 or float64, integers int64, autocast off.

        On several ranks the samples are this rank's alone, and may be none: what it then returns is not used.
        """

    def weights(self, given_label: Tensor) -> Tensor | None:
        """(B,) weights of the samples in the mean of :meth:`loss`, on the device; None: all count alike."""
        return None

    # A compiler would take the lengths of the shares for constants.
    @torch.compiler.disable
    def _loss_over_ranks(
        self, logits: Tensor, given_label: Tensor, index: Tensor | None, group: dist.ProcessGroup
    ) -> Tensor:
        self._shares = share_lengths(len(logits), group)
        try:
            loss = self.loss(logits, given_label, index)
        finally:
            shares, self._shares = self._shares, None
        self.last_batch_size = sum(shares)
        scale: float | Tensor = len(shares) * len(logits) / max(self.last_batch_size, 1)
        weights = self.weights(given_label)
        if weights is not None:
            own = weights.sum(dtype=loss.dtype)
            total = own.clone()
            dist.all_reduce(total, group=group)
            scale = len(shares) * own / total
        # The mean of nothing is NaN; a sum of nothing has a gradient, which DDP waits for.
        return loss * scale if len(logits) else logits.sum()

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
            _check_index(name, index, batch_size=len(logits))

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


def _checked_counts(class_counts: Tensor) -> Tensor:
    if not isinstance(class_counts, Tensor) or class_counts.is_complex():
        kind = class_counts.dtype if isinstance(class_counts, Tensor) else type(class_counts).__name__
        raise ArgumentTypeError(
            "class_counts",
            rule="be a real tensor of shape (C,)",
            got=str(kind),
            way_out="Pass `torch.as_tensor(class_counts)`.",
        )
    if class_counts.ndim != 1 or len(class_counts) < 2:
        raise ArgumentValueError(
            "class_counts",
            rule="have shape (C,) with C >= 2",
            got=str(tuple(class_counts.shape)),
            way_out="Pass `torch.bincount(given_labels, minlength=num_classes)`.",
        )
    counts = class_counts.detach().to(device="cpu", dtype=torch.float64)
    wrong = ~(torch.isfinite(counts) & (counts >= 0))
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise ArgumentValueError(
            "class_counts",
            rule="be finite and >= 0",
            got=f"{float(counts[first])} for class {first}",
            way_out="Pass `torch.bincount(given_labels, minlength=num_classes)`.",
        )
    if float(counts.sum()) == 0:
        raise ArgumentValueError(
            "class_counts", rule="have a class above 0", got="zeros only", way_out="Is the training set empty?"
        )
    return counts


def _check_batch(logits: Tensor, given_label: Tensor) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ArgumentTypeError(
            "logits",
            rule="be a floating tensor of shape (B, C)",
            got=str(kind),
            way_out="Pass the model's raw output.",
        )
    if logits.ndim != 2:
        raise ArgumentValueError(
            "logits",
            rule="have shape (B, C)",
            got=str(tuple(logits.shape)),
            way_out="Flatten other dimensions into the batch.",
        )
    if not isinstance(given_label, Tensor) or not _is_integer(given_label):
        kind = given_label.dtype if isinstance(given_label, Tensor) else type(given_label).__name__
        raise ArgumentTypeError(
            "given_label",
            rule="be a tensor of integers",
            got=str(kind),
            way_out="Pass class numbers, not soft labels.",
        )
    if given_label.shape != logits.shape[:1]:
        raise ArgumentValueError(
            "given_label",
            rule=f"have shape ({len(logits)},), one for each row of `logits`",
            got=str(tuple(given_label.shape)),
            way_out="Pass class numbers, not one-hot rows.",
        )


def _check_index(name: str, index: Tensor | None, *, batch_size: int) -> None:
    if index is None:
        raise ArgumentValueError(
            "index",
            rule=f"be given to {name}, which remembers every sample",
            got="None",
            way_out="Batches must be (image, label, index), with index the sample's position in the training set.",
        )
    if not isinstance(index, Tensor) or not _is_integer(index):
        kind = index.dtype if isinstance(index, Tensor) else type(index).__name__
        raise ArgumentTypeError(
            "index", rule="be a tensor of integers", got=str(kind), way_out="Pass the samples' positions."
        )
    if index.shape != (batch_size,):
        raise ArgumentValueError(
            "index",
            rule=f"have shape ({batch_size},), one for each row of `logits`",
            got=str(tuple(index.shape)),
            way_out="Pass the third item of the batch as it is.",
        )


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
