# Legend: N samples of the training set, B batch, C classes.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError


class PredictionTable:
    """A table of predictions by sample index that fills batch by batch on the device; nothing is read on the host.

    Args:
        num_samples: N.
        averages: Whether a sample comes in several views, of which the mean probability is kept. Otherwise the last
            prediction of a sample counts.
        dtype: Of the table. Averages are made in float32 before.
    """

    def __init__(self, num_samples: int, *, averages: bool, dtype: torch.dtype) -> None:
        self.num_samples, self.averages, self.dtype = num_samples, averages, dtype
        self._rows: Tensor | None = None
        # One place more than samples: where an index outside of the table goes.
        self._num_seen = torch.zeros(num_samples + 1, dtype=torch.float32)

    def num_bytes(self, num_classes: int) -> int:
        """Size of the finished table in bytes."""
        return self.num_samples * num_classes * self.dtype.itemsize

    def add(self, log_probs: Tensor, index: Tensor) -> None:
        """Enter the (B, C) predictions of the samples ``index`` (B,) int64, on one device."""
        if self._rows is None:
            shape = (self.num_samples + 1, log_probs.shape[1])
            kept, fill = (torch.float32, 0.0) if self.averages else (self.dtype, torch.nan)
            self._rows = torch.full(shape, fill, dtype=kept, device=log_probs.device)
            self._num_seen = self._num_seen.to(log_probs.device)
        is_inside = (index >= 0) & (index < self.num_samples)
        place = torch.where(is_inside, index, self.num_samples)
        if self.averages:
            self._rows.index_add_(0, place, log_probs.exp().to(self._rows.dtype))
        else:
            self._rows.index_copy_(0, place, self._kept(log_probs))
        self._num_seen.index_add_(0, place, torch.ones_like(place, dtype=torch.float32))

    def finish(self) -> Tensor:
        """(N, C) log-probabilities; NaN where a sample has none.

        Raises:
            ValueError: No batch came, an index was outside of the table, or a prediction was not finite.
        """
        if self._rows is None:
            raise ArgumentValueError("datamodule", rule="give batches to predict", got="none")
        num_outside = int(self._num_seen[-1])
        if num_outside:
            raise ArgumentValueError(
                "datamodule",
                rule=f"give sample indices in 0..{self.num_samples - 1}, the samples that it has",
                got=f"{num_outside} outside",
                way_out="Give the datamodule `num_samples`, one more than the largest index.",
            )
        num_seen, rows = self._num_seen[:-1], self._rows[:-1]
        is_bad = (num_seen > 0) & ~rows.amax(dim=1).isfinite()
        if bool(is_bad.any()):
            samples = is_bad.nonzero()[:, 0].tolist()
            raise ArgumentValueError(
                "teacher",
                rule="give finite outputs",
                got=f"others for {len(samples)} samples, such as {samples[:10]}",
                way_out="Check the teacher in the trainer's precision.",
            )
        if not self.averages:
            # Its own memory: a part of a larger table would be saved, and hashed, with the rest.
            return rows.clone()
        mean = rows / num_seen[:, None]
        # A class that underflows in every view is improbable, not impossible.
        return self._kept(mean.clamp_min(torch.finfo(torch.float32).tiny).log())

    def _kept(self, log_probs: Tensor) -> Tensor:
        # Below the smallest number of float16 there would be -inf, which rules a class out.
        return log_probs.clamp_min(torch.finfo(self.dtype).min).to(self.dtype)
