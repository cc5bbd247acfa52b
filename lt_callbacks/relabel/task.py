# Legend: C classes.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks.adsa import TauEstimator
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.distilled_set.compact_labels import checked_top_k
from lt_callbacks.relabel.prior import check_length, checked_prior
from lt_callbacks.relabel.settings import RelabelSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class RelabelTask:
    """What is to be relabelled: a distilled set, the class prior to take out of its labels, and the settings.

    Attributes:
        distilled: The set.
        class_prior: (C,) counts or frequencies > 0 of the labels that the networks were trained on, in the order of the
            set's classes; kept as float64.
        prior_source: Where they are from: ``"datamodule"`` or ``"argument"``.
        settings: How tau is found, and which labels are written.

    Raises:
        TypeError, ValueError: A prior does not have the set's classes or is too uneven, or ``shrink_to`` or ``top_k``
            is out of range for it.
    """

    distilled: DistilledSet
    class_prior: Tensor
    prior_source: str = "argument"
    settings: RelabelSettings

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_prior", checked_prior("class_prior", self.class_prior))
        check_length("class_prior", self.class_prior, self.distilled)
        if self.settings.target_prior is not None:
            check_length("target_prior", self.settings.target_prior, self.distilled)
        if self.settings.top_k is not None:
            checked_top_k(self.settings.top_k, self.distilled.num_classes)
        # Refuses a prior that is too uneven, or a `shrink_to` outside of the grid.
        self.estimator(torch.device("cpu"))

    def estimator(self, device: torch.device) -> TauEstimator:
        """A fresh estimator of tau, which has seen nothing."""
        return TauEstimator(self.class_prior, shrink_to=self.settings.shrink_to).to(device)
