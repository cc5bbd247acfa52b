"""D-SINK as one writes it by hand from the paper: plain PyTorch, worker processes, float32, `.item()` for the log.

Nothing of this package but the networks that it is given. It is what `lt-bench training` compares the package with,
and is meant to be ordinary code, neither tuned nor hindered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters that our training and the one written by hand have in common.

    Attributes:
        epochs: Of each teacher and of the student.
        batch_size: B.
        learning_rate: Peak; cosine to zero over each training.
        momentum: Nesterov's.
        weight_decay: Of all weights.
        alpha: Weight of D-SINK's loss.
        tolerance: Total variation of the class marginal at which Sinkhorn stops.
        max_iterations: Sweeps at most.
        elr_beta: Memory of the noise-robust teacher.
        elr_regularization: Weight of its penalty.
        workers: Processes that load images.
    """

    epochs: int = 2
    batch_size: int = 128
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    alpha: float = 10.0
    tolerance: float = 1e-3
    max_iterations: int = 100
    elr_beta: float = 0.7
    elr_regularization: float = 3.0
    workers: int = 2


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The data of a training as arrays, as a script has them.

    Attributes:
        images: (N, H, W, channels) uint8.
        labels: (N,) int64, the given ones.
        test_images: (M, H, W, channels) uint8.
        test_labels: (M,) int64.
        num_classes: C.
        mean: One a channel, of pixels in [0, 1].
        std: One a channel, > 0.
        crop_padding: Pixels by which training images move at most.
        flip: Whether training images are mirrored at random.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int
    flip: bool


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """Seconds that a training of two teachers and a student took, and the accuracy that it reached.

    Attributes:
        teacher_seconds: Of both teachers together.
        student_seconds: Of the student.
        epoch_seconds: Of the student's epochs.
        accuracy: Of the student on the test set, in percent.
    """

    teacher_seconds: float
    student_seconds: float
    epoch_seconds: list[float]
    accuracy: float


class Images(Dataset):
    """A dataset of images with labels and indices.

    Args:
        images: (N, H, W, channels) uint8.
        labels: (N,) int64.
        transform: PIL image to tensor.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable[[np.ndarray], Tensor]) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.transform(self.images[index]), int(self.labels[index]), index


def train_by_hand(
    data: TrainingData, make_network: Callable[[], nn.Module], hyperparameters: Hyperparameters, device: str
) -> TrainingOutcome:
    """Train both teachers, then the student, and test the student."""
    from torchvision import transforms

    augmented = [transforms.ToPILImage(), transforms.RandomCrop(data.images.shape[1], padding=data.crop_padding)]
    augmented += [transforms.RandomHorizontalFlip()] if data.flip else []
    plain = [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
    train_set = Images(data.images, data.labels, transforms.Compose([*augmented, *plain]))
    test_set = Images(data.test_images, data.test_labels, transforms.Compose([transforms.ToPILImage(), *plain]))

    loader = DataLoader(
        train_set,
        batch_size=hyperparameters.batch_size,
        shuffle=True,
        num_workers=hyperparameters.workers,
        persistent_workers=hyperparameters.workers > 0,
        pin_memory=device == "cuda",
    )
    test_loader = DataLoader(test_set, batch_size=512)

    began = time.perf_counter()
    imbalance_teacher = train_imbalance_teacher(data, make_network(), loader, hyperparameters, device)
    noise_teacher = train_noise_teacher(data, make_network(), loader, hyperparameters, device)
    _wait(device)
    trained = time.perf_counter()
    student, ends = train_student(make_network(), noise_teacher, imbalance_teacher, loader, hyperparameters, device)
    _wait(device)
    finished = time.perf_counter()
    return TrainingOutcome(
        teacher_seconds=trained - began,
        student_seconds=finished - trained,
        epoch_seconds=[after - before for before, after in zip([trained, *ends], ends, strict=False)],
        accuracy=accuracy(student, test_loader, device),
    )


def train_imbalance_teacher(
    data: TrainingData, network: nn.Module, loader: DataLoader, hyperparameters: Hyperparameters, device: str
) -> nn.Module:
    """Train a network by cross-entropy with logits adjusted by the class frequencies."""
    counts = torch.bincount(torch.from_numpy(data.labels), minlength=data.num_classes).float()
    log_prior = (counts / counts.sum()).log().to(device)
    network = network.to(device).train()
    log = []
    for images, labels, _, step in steps(network, loader, hyperparameters, device):
        loss = F.cross_entropy(network(images) + log_prior, labels)
        step(loss)
        log.append(loss.item())
    return network.eval()


def train_noise_teacher(
    data: TrainingData, network: nn.Module, loader: DataLoader, hyperparameters: Hyperparameters, device: str
) -> nn.Module:
    """Train a network by early-learning regularisation (ELR)."""
    memory = torch.zeros(len(data.labels), data.num_classes, device=device)
    network = network.to(device).train()
    log = []
    for images, labels, index, step in steps(network, loader, hyperparameters, device):
        logits = network(images)
        probs = torch.clamp(F.softmax(logits, dim=1), 1e-4, 1 - 1e-4)
        detached = probs.detach()
        memory[index] = hyperparameters.elr_beta * memory[index] + (1 - hyperparameters.elr_beta) * (
            detached / detached.sum(dim=1, keepdim=True)
        )
        penalty = (1 - (memory[index] * probs).sum(dim=1)).log().mean()
        loss = F.cross_entropy(logits, labels) + hyperparameters.elr_regularization * penalty
        step(loss)
        log.append(loss.item())
    return network.eval()


def train_student(
    network: nn.Module,
    noise_teacher: nn.Module,
    imbalance_teacher: nn.Module,
    loader: DataLoader,
    hyperparameters: Hyperparameters,
    device: str,
) -> tuple[nn.Module, list[float]]:
    """Train a network by cross-entropy plus alpha * KL to the transport plan.

    Returns:
        The network, and the clock's reading at the end of each epoch.
    """
    network = network.to(device).train()
    log, ends = [], []
    for position, (images, labels, _, step) in enumerate(steps(network, loader, hyperparameters, device)):
        logits = network(images)
        log_probs = F.log_softmax(logits, dim=1)
        with torch.no_grad():
            noise_log_probs = F.log_softmax(noise_teacher(images), dim=1)
            marginal = F.softmax(imbalance_teacher(images), dim=1).sum(dim=0)
            kernel = 0.5 * (log_probs.detach() + noise_log_probs)
            plan = sinkhorn(kernel, marginal, hyperparameters)
        kl = (plan * (plan.clamp_min(1e-12).log() - log_probs)).sum(dim=1).mean()
        loss = F.cross_entropy(logits, labels) + hyperparameters.alpha * kl
        step(loss)
        log.append(loss.item())
        if (position + 1) % len(loader) == 0:
            ends.append(time.perf_counter())
    return network.eval(), ends


def sinkhorn(log_kernel: Tensor, marginal: Tensor, hyperparameters: Hyperparameters) -> Tensor:
    """Transport plan (N, C) by alternating normalisation in the log domain until the columns fit."""
    log_b, g = marginal.log(), torch.zeros_like(marginal)
    for _ in range(hyperparameters.max_iterations):
        f = -torch.logsumexp(log_kernel + g, dim=1, keepdim=True)
        columns = torch.logsumexp(log_kernel + f, dim=0)
        error = ((columns + g).exp() - marginal).abs().sum().item() / len(log_kernel)
        if error < hyperparameters.tolerance:
            break
        g = log_b - columns
    return torch.softmax(log_kernel + g, dim=1)


def steps(
    network: nn.Module, loader: DataLoader, hyperparameters: Hyperparameters, device: str
) -> Iterator[tuple[Tensor, Tensor, Tensor, Callable[[Tensor], None]]]:
    """Batches of all epochs on the device, each with a function that makes a step with its loss."""
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=hyperparameters.learning_rate,
        momentum=hyperparameters.momentum,
        weight_decay=hyperparameters.weight_decay,
        nesterov=True,
    )
    total = hyperparameters.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 0.5 * (1 + math.cos(math.pi * done / total)))

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    for _ in range(hyperparameters.epochs):
        for images, labels, index in loader:
            yield images.to(device), labels.to(device), index.to(device), step


@torch.no_grad()
def accuracy(network: nn.Module, loader: DataLoader, device: str) -> float:
    """Percent of the test images that are classified right."""
    right = 0
    for images, labels, _ in loader:
        right += (network(images.to(device)).argmax(dim=1).cpu() == labels).sum().item()
    return 100 * right / len(loader.dataset)  # type: ignore[arg-type]


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
