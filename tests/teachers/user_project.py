"""What a user brings: a small module, a datamodule of (image, label) pairs, and variations of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

#: A trainer that says and writes nothing.
QUIET = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False}

NUM_CLASSES = 3


class UserNet(LightningModule):
    def __init__(self, width: int = 4, learning_rate: float = 0.1) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(width, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(images))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise AssertionError("a teacher is trained on its objective, not on the user's loss")

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.learning_rate)
        # Schedules ask the trainer for its length.
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=steps)]


def images_and_labels(num_samples: int = 24, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(N, 1, 2, 2) images whose first pixel is their position, and labels from a long tail."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_samples, 1, 2, 2, generator=generator)
    images[:, 0, 0, 0] = torch.arange(num_samples)
    labels = torch.arange(num_samples) % 6 // 3 + (torch.arange(num_samples) % 12 == 11).long()
    return images, labels


class UserData(LightningDataModule):
    """(image, label) pairs; ``options`` are those of the loader."""

    def __init__(self, dataset: Any = None, **options: Any) -> None:
        super().__init__()
        self.dataset = TensorDataset(*images_and_labels()) if dataset is None else dataset
        self.options = {"batch_size": 8, "shuffle": True, **options}

    def train_dataloader(self) -> Any:
        return DataLoader(self.dataset, **self.options)


class FunctionDataset(Dataset[Any]):
    """A dataset of no known kind: item i is ``item(i)``."""

    def __init__(self, item: Callable[[int], Any], num_samples: int = 24) -> None:
        self.item, self.num_samples = item, num_samples

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, position: int) -> Any:
        return self.item(position)


class Steps(Callback):
    """Counts training steps, and keeps what was trained."""

    def __init__(self) -> None:
        self.count = 0
        self.objectives: list[str] = []
        self.module: Any = None
        self.objective: Any = None

    def on_train_start(self, trainer, pl_module) -> None:
        self.module = pl_module
        self.objective = pl_module.training_step.__self__.objective
        self.objectives.append(type(self.objective).__name__)

    def on_train_batch_end(self, *_: Any) -> None:
        self.count += 1


class Scale:
    """A transform that says what it does."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, image: Tensor) -> Tensor:
        return self.factor * image

    def __repr__(self) -> str:
        return f"Scale({self.factor})"
