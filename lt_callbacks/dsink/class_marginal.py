from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import one_of, real

CLASS_MARGINALS = ("batch", "running", "uniform", "student", "none")


class ClassMarginal:
    """The class marginal of each batch: how much of its mass each class gets.

    The paper leaves open whether its constraint is taken over the batch or over the data. The batch is the default: its
    marginal follows what the batch holds, so that a batch without a tail sample is not made to label one.

    Args:
        kind: ``"batch"``: sum of the imbalance-robust teacher's probabilities over the batch. ``"running"``: their
            running average over batches, scaled to the batch. To see what the constraint does: ``"uniform"``: every
            class the same; ``"student"``: the student's own class masses; ``"none"``: no class constraint.
        momentum: Weight of the past in the running average, in [0, 1).
    """

    def __init__(self, *, kind: str = "batch", momentum: float = 0.9) -> None:
        self.kind = one_of("class_marginal", kind, CLASS_MARGINALS)
        self.momentum = real("momentum", momentum, at_least=0.0, below=1.0)
        self._average: Tensor | None = None

    def __call__(self, student_log_probs: Tensor, imbalance_probs: Tensor) -> Tensor:
        """(C,) mass in samples for the (N, C) predictions; rows of zeros are samples that do not count."""
        return self.from_total(self.contribution(student_log_probs, imbalance_probs))

    def contribution(self, student_log_probs: Tensor, imbalance_probs: Tensor) -> Tensor:
        """(C,) what one share of the batch adds by its (N, C) predictions; to be summed over the shares."""
        if self.kind == "student":
            return (student_log_probs.exp() * imbalance_probs.sum(dim=1, keepdim=True)).sum(dim=0)
        return imbalance_probs.sum(dim=0)

    def from_total(self, mass: Tensor) -> Tensor:
        """(C,) class marginal of the whole batch, from all contributions; moves the average: call once a batch."""
        if self.kind == "uniform":
            return torch.full_like(mass, 1 / len(mass)) * mass.sum()
        if self.kind == "running":
            return self._averaged(mass)
        return mass

    def _averaged(self, teacher_mass: Tensor) -> Tensor:
        total = teacher_mass.sum()
        share = teacher_mass / total.clamp_min(torch.finfo(total.dtype).tiny)
        average = share if self._average is None else self._average.to(share)
        # Batches without a usable sample at the start leave zeros, which are no past to average with.
        average = torch.where(average.sum() > 0, average, share)
        moved = self.momentum * average + (1 - self.momentum) * share
        # A batch without a usable sample says nothing about the classes.
        self._average = torch.where(total > 0, moved, average)
        return self._average * total

    def state_dict(self) -> dict[str, Tensor]:
        """The running average, once there is one."""
        return {} if self._average is None else {"average": self._average}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a running average that :meth:`state_dict` gave."""
        self._average = state.get("average")
