"""The modules whose steps and fits are timed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lt_callbacks.data.epoch_loader import Batch
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.plugins import DSinkMixin
from lt_callbacks.teachers import ModuleTeacher


def optimisation() -> Optimisation:
    """The optimiser settings of every network; the rate stays, as in the middle of a training."""
    return Optimisation(learning_rate=0.02, schedule="constant")


class Student(DSinkMixin, Classifier):
    """A classifier with D-SINK, as a user's own module becomes one."""


class WithTwoForwards(Classifier):
    """A classifier whose steps ask both teachers too, and make nothing of their predictions.

    Args:
        teachers: The teachers.
        network: See `Classifier`.
    """

    def __init__(self, *, teachers: Sequence[ModuleTeacher], network: nn.Module) -> None:
        super().__init__(network=network, optimisation=optimisation())
        self.teachers = tuple(teachers)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Ask the teachers, then make the step of a classifier."""
        for teacher in self.teachers:
            teacher.predictions(batch[0], batch[2], dtype=next(self.network.parameters()).dtype)
        return super().training_step(batch, batch_idx)
