# Legend: C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks.adsa.class_prior import centred_log_prior, normalised_prior
from lt_callbacks.adsa.fit_settings import FitSettings
from lt_callbacks.adsa.moments import Tilts
from lt_callbacks.adsa.nodes import chebyshev_nodes
from lt_callbacks.adsa.solve import solve
from lt_callbacks.adsa.tau_fit import TauFit


class TauProblem:
    """A class prior and where to look for tau: all that is known before the first image.

    Args:
        class_prior: (C,) counts or frequencies.
        settings: Ends of the grid, shrinkage.

    Raises:
        TypeError, ValueError: The prior is not finite and > 0, or too uneven for the grid.
    """

    def __init__(self, class_prior: Any, settings: FitSettings) -> None:
        self.class_prior = normalised_prior(class_prior)
        self.settings = settings
        log_prior = centred_log_prior(self.class_prior)
        lowest, highest = settings.node_ends
        self.nodes = chebyshev_nodes(lowest, highest, log_prior_range=float(log_prior.max() - log_prior.min()))
        self._tilts = {torch.device("cpu"): Tilts.build(log_prior, self.nodes)}

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_prior)

    def tilts(self, device: torch.device) -> Tilts:
        """What logits on ``device`` are multiplied with; copied there once."""
        if device not in self._tilts:
            self._tilts[device] = self._tilts[torch.device("cpu")].to(device)
        return self._tilts[device]

    def solve(self, curves: Tensor, totals: Tensor, refused: Tensor) -> TauFit:
        """The fit that sums of :func:`lt_callbacks.adsa.moments.class_moments` lead to; reads from their device.

        Raises:
            ValueError: Images were refused, or a class has none.
        """
        curves, totals, refused = (sums.to("cpu").double() for sums in (curves, totals, refused))
        return solve(curves, totals, refused, class_prior=self.class_prior, nodes=self.nodes, settings=self.settings)
