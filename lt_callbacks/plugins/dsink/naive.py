from __future__ import annotations

from torch import nn

from lt_callbacks.dsink import MeanLabeler
from lt_callbacks.plugins.dsink.dsink import DSink
from lt_callbacks.teachers.frozen import FrozenTeacher


class NaiveDistillation(DSink):
    """Naive distillation, D-SINK's baseline: the mean of both teachers' predictions as the label, with the same loss.

    Args:
        noise_teacher: Robust to wrong labels; see :class:`DSink`.
        imbalance_teacher: Robust to imbalance; see :class:`DSink`.
        alpha: Weight of the loss, >= 0.
        warmup_epochs: alpha rises linearly from 0 over so many epochs.
    """

    def __init__(
        self,
        *,
        noise_teacher: FrozenTeacher | nn.Module,
        imbalance_teacher: FrozenTeacher | nn.Module,
        alpha: float = 10.0,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__(
            noise_teacher=noise_teacher, imbalance_teacher=imbalance_teacher, alpha=alpha, warmup_epochs=warmup_epochs
        )
        self.labeler = MeanLabeler()
