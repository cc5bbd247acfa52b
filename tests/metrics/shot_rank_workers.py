"""What each rank does in test_shot_accuracy.py."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from lt_callbacks.metrics import ShotAccuracy

COUNTS = [5, 900, 40, 7, 300, 41]


def uneven_worker(rank: int, folder: Path) -> None:
    """Shares of 30 and 170 samples."""
    metric = ShotAccuracy(class_counts=COUNTS)
    predicted, target = torch.load(folder / "labels.pt", weights_only=True)
    own = slice(0, 30) if rank == 0 else slice(30, 200)
    metric.update(predicted[own], target[own])
    torch.save([metric.compute(), metric.per_class(), metric.total.sum()], folder / f"rank{rank}.pt")


def padded_worker(rank: int, folder: Path) -> None:
    """Torch's own padding, in batches of 7; then a rank without samples; then one that forgot the index."""
    predicted, target = torch.load(folder / "labels.pt", weights_only=True)
    own = torch.tensor(list(DistributedSampler(range(len(target)), shuffle=False)))
    metric, unaware = ShotAccuracy(class_counts=COUNTS), ShotAccuracy(class_counts=COUNTS)
    for index in own.split(7):
        metric.update(predicted[index], target[index], index)
        unaware.update(predicted[index], target[index])
    results = {
        "padded": metric.compute(),
        "per_class": metric.per_class(),
        "own": sum(len(outcomes) for outcomes in metric.outcomes),
        "unaware": unaware.compute(),
    }
    metric.reset()
    if rank:
        index = torch.arange(len(target))
        metric.update(predicted, target, index)
    results["one without"] = metric.compute()
    metric.reset()
    index = torch.arange(10) + 10 * rank
    metric.update(predicted[index], target[index], None if rank == dist.get_world_size() - 1 else index)
    try:
        metric.compute()
    except ValueError as error:
        results["mixed"] = str(error)
    torch.save(results, folder / f"rank{rank}.pt")
