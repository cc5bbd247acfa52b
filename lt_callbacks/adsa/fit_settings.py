from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks._checks import real

#: Distance of neighbouring values of tau in the curve that a fit returns.
_STEP = 0.01


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How tau is looked for; checked on construction. For the fields see :class:`lt_callbacks.adsa.TauEstimator`."""

    shrink_to: float | None = None
    shrink_sd: float = 0.5
    lowest: float = -1.0
    highest: float = 4.0

    def __post_init__(self) -> None:
        real("lowest", self.lowest)
        real("highest", self.highest, above=self.lowest, hint="tau is looked for between `lowest` and `highest`.")
        real("shrink_sd", self.shrink_sd, above=0.0, hint="It is the standard deviation of tau around `shrink_to`.")
        if self.shrink_to is not None:
            hint = "Widen `lowest` to `highest`."
            real("shrink_to", self.shrink_to, at_least=self.lowest, at_most=self.highest, hint=hint)

    def grid(self) -> Tensor:
        """(T,) float64 values of tau, both ends included, steps of about 0.01."""
        num_steps = max(10, round((self.highest - self.lowest) / _STEP))
        return torch.linspace(self.lowest, self.highest, num_steps + 1, dtype=torch.float64)

    @property
    def node_ends(self) -> tuple[float, float]:
        """The interval that curves must be known on: that of the grid, and 0, the labels as they are."""
        return min(float(self.lowest), 0.0), max(float(self.highest), 0.0)
