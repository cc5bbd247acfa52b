"""A small network, images for it, and a table of predictions: what teachers are made of."""

from __future__ import annotations

import torch
from torch import nn


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


IMAGES = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def table(num_samples: int = 10, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    logits = torch.randn(num_samples, 3, generator=torch.Generator().manual_seed(1))
    return logits.log_softmax(1).to(dtype)
