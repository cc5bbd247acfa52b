from __future__ import annotations

import warnings

import torch
from torch import Tensor

from lt_callbacks._errors import StateError

TEACHERS = ("noise_teacher", "imbalance_teacher")


class NonfiniteReport:
    """Reports a teacher that was not finite one step later, so that no step waits for its own count.

    The count is over all ranks, so all ranks report at the same step and none is left in a collective.

    Args:
        action: ``"raise"``, ``"warn"`` (once) or ``"ignore"``.
    """

    def __init__(self, *, action: str) -> None:
        self.action = action
        self._pending: tuple[Tensor, Tensor, Tensor | None] | None = None
        self._copied: torch.cuda.Event | None = None

    def note(self, count: Tensor, is_nonfinite: Tensor, index: Tensor | None) -> None:
        """Remember a step's (2,) count over all ranks, (B, 2) bool of this rank's samples, and their indices."""
        if self.action == "ignore":
            return
        if count.is_cuda:
            count = count.to("cpu", non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()
        self._pending = (count, is_nonfinite, index)

    def forget(self) -> None:
        """Leave the step noted last unreported: it was one of another training."""
        self._pending = self._copied = None

    def check(self) -> None:
        """Report the step noted last, if a teacher was not finite in it."""
        if self._pending is None:
            return
        count, is_nonfinite, index = self._pending
        self._pending = None
        if self._copied is not None:
            self._copied.synchronize()
            self._copied = None
        for position, name in enumerate(TEACHERS):
            if int(count[position]):
                self._report(name, int(count[position]), is_nonfinite[:, position], index)

    def _report(self, name: str, count: int, is_nonfinite: Tensor, index: Tensor | None) -> None:
        rows = is_nonfinite.nonzero()[:, 0]
        samples = (rows if index is None else index[rows.to(index.device)]).tolist()
        what = "positions in the batch" if index is None else "sample indices"
        message = (
            f"`{name}` must give finite outputs; {count} samples of the last step were not finite ({what} on this "
            f"rank: {samples[:10]}). Their rows were masked. Check the teacher in the trainer's precision, or that its "
            "cached predictions are of these samples; or set `on_nonfinite='ignore'`."
        )
        if self.action == "raise":
            raise StateError(message)
        warnings.warn(message, stacklevel=2)
        self.action = "ignore"
