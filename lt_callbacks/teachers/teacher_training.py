from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError
from lt_callbacks.objectives import Objective
from lt_callbacks.teachers.training_data import TrainingData


def fit_teacher(network: LightningModule, objective: Objective, data: TrainingData, trainer: Mapping[str, Any]) -> None:
    """Train a user's module in place on an objective instead of its own loss.

    Args:
        network: Gives ``forward``, which must return logits, and ``configure_optimizers``.
        objective: Fresh; told here what it has to know of the data.
        data: Gives the batches.
        trainer: Arguments of ``lightning.Trainer``, for one device.

    Raises:
        TypeError: The module does not return logits.
    """
    defaults = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    runner = Trainer(**{**defaults, **trainer})
    loader = data.loader(objective.needs_index)
    # A process group that is there already is the caller's: the other ranks wait at the store, not in this fit.
    objective.spans_ranks = False
    objective.prepare(
        class_counts=data.class_counts, num_samples=data.num_samples, max_epochs=max(int(runner.max_epochs or 1), 1)
    )
    runner.fit(TeacherTraining(network=network, objective=objective), train_dataloaders=loader)


class TeacherTraining(LightningModule):
    """Trains another module's network with its own optimiser on another objective.

    Args:
        network: Gives ``forward`` and ``configure_optimizers``.
        objective: What is minimised; prepared.
    """

    def __init__(self, *, network: LightningModule, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def setup(self, stage: str) -> None:
        """Calls the network's own set-up."""
        self.network.setup(stage)

    def forward(self, images: Tensor) -> Any:
        """The network's logits of a batch of images."""
        return self.network(images)

    def on_train_epoch_start(self) -> None:
        """Tells the objective the epoch."""
        self.objective.set_epoch(self.current_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The objective's loss of one batch, a scalar."""
        logits = self(batch[0])
        if not isinstance(logits, torch.Tensor):
            raise ArgumentTypeError(
                "module",
                rule="make modules whose `forward` returns logits (B, C), to train a teacher with",
                got=f"{type(logits).__name__} from `forward` of {type(self.network).__name__}",
                way_out="Pass a function that makes a module whose `forward` does.",
            )
        # A third item that is no index, such as file names, is none of an objective's business that needs none.
        return self.objective(logits, batch[1], batch[2] if self.objective.needs_index else None)

    def configure_optimizers(self) -> Any:
        """The network's own optimisers."""
        return self.network.configure_optimizers()
