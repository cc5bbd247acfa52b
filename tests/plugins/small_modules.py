"""Modules as users write them, tiny data, and the hand-written D-SINK loop they are compared with."""

import copy

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from reference import reference_plan
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks.data import add_index

NUM_CLASSES = 4
NUM_STEPS = 20
BATCH = 16
LEARNING_RATE = 0.1


class ReturnsTensor(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(6, 16)
        self.head = nn.Linear(16, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(x)))

    def training_step(self, batch, batch_idx):
        x, y = batch[:2]
        return F.cross_entropy(self(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE, momentum=0.9)


class ReturnsMapping(ReturnsTensor):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return {"loss": loss, "note": loss.detach()}


class CallsForward(ReturnsTensor):
    def training_step(self, batch):
        x, y = batch[:2]
        logits = self.forward(x)
        self.log("base", F.cross_entropy(logits, y))
        return F.cross_entropy(logits, y)


class UsesSubmodules(ReturnsTensor):
    """Never calls its own forward; the logits are those of ``head``."""

    def training_step(self, batch, batch_idx):
        x, y = batch[:2]
        return F.cross_entropy(self.head(torch.tanh(self.body(x))), y)


class CallsTwice(ReturnsTensor):
    def training_step(self, batch, batch_idx):
        x, y = batch[:2]
        return F.cross_entropy(self(x), y) + F.cross_entropy(self(x + 0.1), y)


class Manual(ReturnsTensor):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        x, y = batch[:2]
        optimizer = self.optimizers()
        logits = self(x)
        loss = F.cross_entropy(logits, y)
        if hasattr(self, "add_dsink") and getattr(self, "is_explicit", False):
            loss = self.add_dsink(loss, logits, x)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()


def data(num_steps: int = NUM_STEPS, *, with_index: bool = False) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num_steps * BATCH, 6, generator=generator)
    y = x[:, :NUM_CLASSES].argmax(1)
    return TensorDataset(x, y, torch.arange(len(x))) if with_index else TensorDataset(x, y)


def datamodule(num_steps: int = NUM_STEPS, *, with_index: bool = False) -> LightningDataModule:
    class Data(LightningDataModule):
        def train_dataloader(self):
            dataset = data(num_steps)
            return DataLoader(add_index(dataset) if with_index else dataset, batch_size=BATCH)

    return Data()


def fresh(kind: type[LightningModule], seed: int = 0) -> LightningModule:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind()


def teachers() -> tuple[nn.Module, nn.Module]:
    """f_N and f_L, random but sharp enough to matter, with a dropout that train mode would show."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        noise = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, NUM_CLASSES))
        imbalance = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, NUM_CLASSES))
    for parameter in (*noise[0].parameters(), *imbalance[0].parameters()):
        parameter.data.mul_(3)
    return noise, imbalance


def trainer(**settings) -> Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
    }
    return Trainer(**{**quiet, **settings})


def hand_written(module: LightningModule, *, alpha: float, accumulate: int = 1, num_steps: int = NUM_STEPS) -> dict:
    """Weights after plain PyTorch steps with a float64 Q; shares nothing with the package."""
    module = copy.deepcopy(module)
    noise, imbalance = (teacher.eval() for teacher in teachers())
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE, momentum=0.9)
    optimizer.zero_grad()
    for step, (x, y) in enumerate(DataLoader(data(num_steps), batch_size=BATCH)):
        logits = module.head(torch.tanh(module.body(x)))
        with torch.no_grad():
            kernel = 0.5 * (logits.double().log_softmax(1) + noise(x).double().log_softmax(1))
            labels = reference_plan(kernel, imbalance(x).double().softmax(1).sum(0))
        divergence = (labels * (labels.log() - logits.double().log_softmax(1))).sum() / len(x)
        ((F.cross_entropy(logits, y) + alpha * divergence.float()) / accumulate).backward()
        if (step + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    return module.state_dict()


def largest_difference(first: dict, second: dict) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in second)
