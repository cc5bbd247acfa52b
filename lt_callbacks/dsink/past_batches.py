# Legend: N samples, C classes.
from __future__ import annotations

from collections import deque

import torch
from torch import Tensor


class PastBatches:
    """The last transport problems, which join the next one, so that small batches do not starve tail classes.

    Args:
        length: How many to remember; 0: none.
    """

    def __init__(self, *, length: int) -> None:
        self.length = length
        # (N, 2C) each: the log kernel beside what a row brings of the class marginal.
        self._batches: deque[Tensor] = deque(maxlen=length)

    def join(self, log_kernel: Tensor, class_marginal: Tensor) -> tuple[Tensor, Tensor]:
        """The transport problem of a batch together with those before it, oldest first; remembers the batch.

        Args:
            log_kernel: (N, C).
            class_marginal: (C,) in samples.

        Returns:
            Log kernel (N + N_past, C) and class marginal (C,) of all of them.
        """
        if not self.length:
            return log_kernel, class_marginal
        # Batches of a resumed run come from the CPU.
        past = [batch.to(log_kernel) for batch in self._batches]
        share = (class_marginal / max(len(log_kernel), 1)).expand_as(log_kernel)
        self._batches = deque([*past, torch.cat([log_kernel, share], dim=1)], maxlen=self.length)
        if not past:
            return log_kernel, class_marginal
        past_kernels, past_shares = torch.cat(past).split([log_kernel.shape[1]] * 2, dim=1)
        return torch.cat([log_kernel, past_kernels]), class_marginal + past_shares.sum(dim=0)

    def state(self) -> list[Tensor]:
        """The remembered batches, oldest first, to be saved."""
        return list(self._batches)

    def restore(self, state: list[Tensor]) -> None:
        """Continue from a saved :meth:`state`; a shorter memory keeps the newest."""
        self._batches = deque(state, maxlen=self.length)
