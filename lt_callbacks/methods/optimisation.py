from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lt_callbacks._checks import one_of, real
from lt_callbacks._errors import ArgumentValueError

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "multistep", "constant")


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How a network is trained: optimiser, learning rate over time, weight decay.

    Attributes:
        optimizer: ``"sgd"`` (Nesterov momentum) or ``"adamw"``.
        learning_rate: Peak, > 0.
        momentum: Of SGD, in [0, 1).
        weight_decay: >= 0; as each optimiser defines it.
        schedule: ``"cosine"`` to zero, ``"multistep"`` (divided by ``step_factor`` at each of ``milestones``) or
            ``"constant"``.
        warmup: Share of all steps over which the rate rises linearly, in [0, 1).
        milestones: Shares of all steps, ascending, in (0, 1).
        step_factor: > 1.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup: float = 0.0
    milestones: tuple[float, ...] = (0.5, 0.75)
    step_factor: float = 10.0

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        real("learning_rate", self.learning_rate, above=0.0)
        real("momentum", self.momentum, at_least=0.0, below=1.0)
        real("weight_decay", self.weight_decay, at_least=0.0)
        one_of("schedule", self.schedule, SCHEDULES)
        real("warmup", self.warmup, at_least=0.0, below=1.0)
        object.__setattr__(self, "milestones", tuple(real("milestones", m, above=0, below=1) for m in self.milestones))
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ArgumentValueError(
                "milestones",
                rule="ascend",
                got=str(self.milestones),
                way_out="Give shares of the training in order.",
            )
        real("step_factor", self.step_factor, above=1.0)

    def rate_factor(self, progress: float) -> float:
        """Learning rate over its peak when the share ``progress`` of all steps is done."""
        if progress < self.warmup:
            return progress / self.warmup
        if self.schedule == "cosine":
            rest = (progress - self.warmup) / (1 - self.warmup)
            return 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))
        if self.schedule == "multistep":
            return float(self.step_factor ** -sum(progress >= milestone for milestone in self.milestones))
        return 1.0

    def configure(self, parameters: Iterable[nn.Parameter], *, num_steps: int) -> dict[str, Any]:
        """Optimiser and schedule as Lightning's ``configure_optimizers`` returns them, for ``num_steps`` steps."""
        optimizer: torch.optim.Optimizer
        if self.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                parameters,
                lr=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.momentum > 0,
            )
        else:
            optimizer = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        # With a warm-up the very first rate would be 0: the step that is under way counts as done.
        shift = 1 if self.warmup > 0 else 0
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.rate_factor((step + shift) / max(num_steps, 1))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
