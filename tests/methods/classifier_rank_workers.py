"""What each rank does in test_classifier.py."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch import nn

from lt_callbacks.corruption import Imbalance
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.methods import Classifier
from lt_callbacks.objectives import EarlyLearningRegularization


def fit_alone() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    module = Classifier(network=network, objective=EarlyLearningRegularization())
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = Trainer(
        max_steps=3, max_epochs=1, accelerator="cpu", devices=1, limit_val_batches=0, **dict.fromkeys(quiet, False)
    )
    trainer.fit(module, datamodule=LongTailedDataModule(source=digits(), imbalance=Imbalance(factor=20)))
    return module


def one_of_two_worker(rank: int, folder: Path) -> None:
    """Rank 0 trains a model of its own; rank 1 is there, and does something else."""
    if rank == 0:
        module = fit_alone()
        torch.save([module.network.state_dict(), module.objective.memory], folder / "found.pt")
