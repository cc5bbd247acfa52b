"""A small long-tailed data set, the distilled set that goes with it, and modules as users write them."""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from small_modules import trainer as quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.plugins import ADSACallback

NAMES = ("ant", "bee", "cat", "dog")
NUM_CLASSES = len(NAMES)
SIDE = 6
COUNTS = (48, 24, 10, 6)
MEAN, STD = (0.4,), (0.3,)


def pictures(labels: Tensor, *, seed: int) -> Tensor:
    """(N, 1, 6, 6) uint8: a bright bar at a place that tells the class, in much noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 160, (len(labels), 1, SIDE, SIDE), generator=generator)
    for label in range(NUM_CLASSES):
        images[labels == label, :, label] += 40
    return images.to(torch.uint8)


def distilled_set(*, per_class: int = 6, names=NAMES) -> DistilledSet:
    labels = torch.arange(NUM_CLASSES).repeat(per_class)
    return DistilledSet(
        images=pictures(labels, seed=5),
        intended_class=labels,
        class_names=names,
        mean=MEAN,
        std=STD,
        provenance={"method": "by hand"},
    )


def network_input(images: Tensor) -> Tensor:
    return (images.float() / 255 - MEAN[0]) / STD[0]


class Data(LightningDataModule):
    """Every sixth sample is held out; what is trained on has `COUNTS`."""

    class_names = NAMES

    def __init__(self) -> None:
        super().__init__()
        trained = np.repeat(np.arange(NUM_CLASSES), COUNTS)
        self.given_labels = np.concatenate([trained, np.repeat(np.arange(NUM_CLASSES), 5)])
        self.train_indices = np.arange(len(trained))
        self.images = network_input(pictures(torch.tensor(self.given_labels), seed=6))

    def train_dataloader(self):
        order = torch.randperm(len(self.train_indices), generator=torch.Generator().manual_seed(7))
        return DataLoader(TensorDataset(self.images[order], torch.tensor(self.given_labels)[order]), batch_size=22)


class Net(LightningModule):
    """Counts its training steps; batch normalisation and dropout show which mode they are in."""

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        super().__init__()
        self.num_steps = 0
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(SIDE * SIDE, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(16, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)

    def training_step(self, batch, batch_idx):
        self.num_steps += 1
        images, label = batch
        return F.cross_entropy(self(images), label)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.3, momentum=0.9)


class FrozenNormNet(Net):
    """Its batch normalisation is in eval mode for good, as in fine-tuning."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[2].eval().requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        self.layers[2].eval()


def fresh(kind=Net, *, seed: int = 0, **settings) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(**settings)


def trainer(*callbacks, **settings):
    return quiet_trainer(**{"max_epochs": 6, "log_every_n_steps": 1, "callbacks": list(callbacks), **settings})


def fit(*callbacks, module=None, data=None, **settings):
    """Module and trainer after a training that is the same every time."""
    module = fresh() if module is None else module
    torch.manual_seed(3)
    running = trainer(*callbacks, **settings)
    running.fit(module, Data() if data is None else data)
    return module, running


def adsa(source: Path, **settings) -> ADSACallback:
    """A callback that labels three views of the set in ``source`` into a folder beside it."""
    return ADSACallback(source, **{"output": source.parent / "out", "num_views": 3, **settings})


def relabel(callback: Callback, module: Net) -> None:
    """No training, only what comes after it."""
    trainer(callback, max_epochs=0).fit(module, Data())


def hashes(folder) -> dict[str, str]:
    """Path in the folder -> hash of the file."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
