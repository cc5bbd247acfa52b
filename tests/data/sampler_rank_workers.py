"""What each rank does in test_class_balanced_sampler.py."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import DataLoader

from lt_callbacks.data import ClassBalancedSampler

LABELS = torch.tensor([0] * 30 + [1] * 9 + [3] * 2)


def batches(batch_size: int, *, epoch: int) -> list[torch.Tensor]:
    sampler = ClassBalancedSampler(labels=LABELS, seed=5)
    sampler.set_epoch(epoch)
    return list(DataLoader(torch.arange(len(LABELS)), batch_size=batch_size, sampler=sampler))


def sampler_worker(rank: int, folder: Path) -> None:
    found = {epoch: batches(4, epoch=epoch) for epoch in (0, 3)}
    torch.save(found, folder / f"rank{rank}.pt")
