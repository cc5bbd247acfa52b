"""What a user already has: a LightningModule and a DataModule. Nothing here knows of D-SINK."""

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks.corruption import corrupt_labels, longtail_indices, transition_matrix
from lt_callbacks.distilled_set import DistilledSet


def convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU()]


class MyNet(L.LightningModule):
    """A small network for 8x8 images."""

    def __init__(self, max_epochs: int = 50) -> None:
        super().__init__()
        self.max_epochs = max_epochs
        self.body = nn.Sequential(
            *convolution(1, 32), *convolution(32, 64), nn.MaxPool2d(2), *convolution(64, 64), nn.AdaptiveAvgPool2d(1)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))

    def training_step(self, batch, batch_idx):
        images, given_label = batch
        loss = F.cross_entropy(self(images), given_label)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=2e-3, weight_decay=0.0)
        return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.max_epochs)]


class MyData(L.LightningDataModule):
    """Digits made long-tailed (20 : 1) and wrongly labelled (40 %), as a stand-in for data that is so by itself."""

    def __init__(self, seed: int = 0, noise_ratio: float = 0.4) -> None:
        super().__init__()
        images, label = load_digits(return_X_y=True)
        images = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
        is_test = np.arange(len(label)) % 3 == 0
        self.test_images, self.test_label = images[is_test], torch.tensor(label[is_test])
        kept = longtail_indices(label[~is_test], imbalance_factor=20, seed=seed)
        noise = transition_matrix("symmetric", 10, ratio=noise_ratio)
        self.images = images[~is_test][kept]
        self.given_label = torch.tensor(corrupt_labels(label[~is_test][kept], noise, seed=seed))
        self.class_counts = self.given_label.bincount()

    def train_dataloader(self):
        return DataLoader(TensorDataset(self.images, self.given_label), batch_size=128, shuffle=True)


@torch.no_grad()
def test_accuracy(model: nn.Module, data: MyData) -> float:
    """Share of the clean, balanced test set that is predicted right."""
    return float((model.eval()(data.test_images).argmax(1) == data.test_label).float().mean())


def save_distilled(folder: str, data: MyData, images_per_class: int = 10) -> None:
    """A stand-in for what your distiller makes: images that are each the mean of two real ones of a class."""
    draw = torch.Generator().manual_seed(0)
    found = [(data.given_label == c).nonzero()[:, 0] for c in range(10)]
    pairs = torch.cat([own[torch.randint(len(own), (images_per_class, 2), generator=draw)] for own in found])
    DistilledSet(
        images=(255 * data.images[pairs].mean(dim=1)).round().to(torch.uint8),
        intended_class=torch.arange(10).repeat_interleave(images_per_class),
        class_names=[str(c) for c in range(10)],
        mean=[0.0],
        std=[1.0],
    ).save(folder)
