from itertools import count
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from lt_callbacks.bench import training_reference
from lt_callbacks.bench.problems import Criterion, Problem, judge, kernel_and_marginal
from lt_callbacks.bench.training_reference import (
    Hyperparameters,
    TrainingData,
    sinkhorn,
    steps,
    train_by_hand,
    train_noise_teacher,
)
from lt_callbacks.objectives import build_objective


def data(num=48, classes=3):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(num) % classes
    # Plain enough to be learnt in a few steps.
    images[labels == 0, :, :, 0], images[labels == 1, :, :, 1], images[labels == 2, :, :, 2] = 255, 255, 255
    return TrainingData(
        images=images,
        labels=labels,
        test_images=images[:12],
        test_labels=labels[:12],
        num_classes=classes,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        crop_padding=1,
        flip=True,
    )


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))


def test_the_script_trains_three_networks_and_learns(monkeypatch):
    # Every look at the clock is a second after the one before.
    ticks = count()
    monkeypatch.setattr(training_reference, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    torch.manual_seed(0)
    made = []
    hyperparameters = Hyperparameters(epochs=6, batch_size=16, learning_rate=0.01, workers=0)
    found = train_by_hand(data(), lambda: made.append(network()) or made[-1], hyperparameters, "cpu")
    assert len(made) == 3
    assert (found.teacher_seconds, found.epoch_seconds, found.student_seconds) == (1.0, [1.0] * 6, 7.0)
    assert found.accuracy > 60


def test_its_sinkhorn_meets_the_marginal():
    log_kernel, marginal = kernel_and_marginal(Problem("corr", 64, 8, 3.0))
    plan = sinkhorn(log_kernel, marginal, Hyperparameters(max_iterations=1000))
    assert judge(plan, marginal, Criterion(kind="total_variation")).meets_criterion
    short = sinkhorn(log_kernel, marginal, Hyperparameters(max_iterations=1))
    assert not judge(short, marginal, Criterion(kind="total_variation")).meets_criterion


def test_its_noise_teacher_is_early_learning_regularisation():
    """One step of the script changes the weights as one with this package's objective does."""
    images, labels, index = torch.randn(6, 3, 8, 8), torch.arange(6) % 3, torch.arange(6)
    torch.manual_seed(1)
    by_hand, ours = network(), network()
    ours.load_state_dict(by_hand.state_dict())
    hyperparameters = Hyperparameters(epochs=2, batch_size=6, learning_rate=0.1)
    batches = [(images, labels, index)]
    given = TrainingData(**{**vars(data()), "labels": labels.numpy()})
    train_noise_teacher(given, by_hand, batches, hyperparameters, "cpu")
    objective = build_objective("elr", settings={"beta": 0.7, "regularization": 3.0})
    objective.prepare(class_counts=torch.tensor([2, 2, 2]), num_samples=6, max_epochs=2)
    for image, label, place, step in steps(ours, batches, hyperparameters, "cpu"):
        step(objective(ours(image), label, place))
    for left, right in zip(by_hand.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-6)
