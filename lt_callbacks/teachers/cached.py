# Legend: N samples of the training set, B batch, C classes.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._tensors import check_floating
from lt_callbacks.teachers.frozen import FrozenTeacher, tensors_sha256


class CachedTeacher(FrozenTeacher):
    """Predictions made once and looked up by sample index; they do not see the step's augmentation.

    :func:`lt_callbacks.teachers.cache` makes them. A sample that the table has no prediction for, or an index outside
    of it, gives a row of NaN, which :class:`lt_callbacks.DSink` masks and reports one step later by its index: nothing
    is read on the host for it.

    Args:
        log_probs: (N, C) floating; row i belongs to the sample with index i. Rows must be distributions.
        allow_missing: Whether rows may be NaN throughout: samples without a prediction, such as held-out ones.

    Raises:
        TypeError, ValueError: Not such a table.
    """

    needs_index = True

    def __init__(self, log_probs: Tensor, *, allow_missing: bool = False) -> None:
        if not isinstance(log_probs, Tensor):
            check_floating("log_probs", log_probs)
        if log_probs.ndim != 2 or not log_probs.is_floating_point() or not len(log_probs):
            raise ArgumentValueError(
                "log_probs",
                rule="be floating with shape (num_samples, C)",
                got=f"{log_probs.dtype} {tuple(log_probs.shape)}",
                way_out="Pass logits.log_softmax(1) of at least one sample.",
            )
        total = log_probs.float().logsumexp(dim=1)
        # bfloat16 rounds the logarithms of a thousand equal probabilities by up to 0.016, all the same way.
        is_wrong = ~(total.abs() < 3e-2)
        if allow_missing:
            is_wrong &= ~log_probs.isnan().all(dim=1)
        wrong = is_wrong.nonzero()[:, 0].tolist()
        if wrong:
            raise ArgumentValueError(
                "log_probs",
                rule="be log-probabilities, so that exp of every row sums to 1",
                got=f"{float(total[wrong[0]].exp()):.3g} for row {wrong[0]} ({len(wrong)} such rows)",
                way_out="Pass logits.log_softmax(1).",
            )
        self._table = log_probs.detach()
        self.num_classes = log_probs.shape[1]

    @torch.no_grad()
    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """(B, C) float32 rows of the table, on the images' device; see :meth:`FrozenTeacher.log_probs`."""
        if index is None:
            raise ArgumentValueError(
                "index",
                rule="be given for cached teacher predictions",
                got="None",
                way_out="Yield (image, label, index) batches or set `index_from`.",
            )
        is_integer = isinstance(index, Tensor) and index.dtype in (torch.int32, torch.int64)
        if not is_integer or index.shape != images.shape[:1]:
            raise ArgumentValueError(
                "index",
                rule=f"be int64 with shape ({len(images)},), one for each image",
                got=f"{index.dtype} {tuple(index.shape)}" if isinstance(index, Tensor) else type(index).__name__,
                way_out="Yield (image, label, index) batches or set `index_from`.",
            )
        if self._table.device != images.device:
            self._table = self._table.to(images.device)
        num_samples = len(self._table)
        is_outside = (index < 0) | (index >= num_samples)
        # On a GPU a place outside of the table would end the process.
        rows = self._table.index_select(0, index.clamp(0, num_samples - 1)).float()
        return rows.masked_fill_(is_outside[:, None], torch.nan)

    def table(self) -> Tensor:
        """(N, C) log-probabilities in the dtype that they are kept in; not to be changed."""
        return self._table

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the table."""
        return tensors_sha256({"log_probs": self._table})

    def release(self) -> None:
        """Move the table back to the CPU."""
        self._table = self._table.cpu()
