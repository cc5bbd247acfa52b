"""Three models' predictions of a batch, as training meets them."""

from __future__ import annotations

import torch
from torch import Tensor


def predictions(
    num_rows: int, num_classes: int, *, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Student logits, log-probabilities of the noise-robust and of the imbalance-robust teacher, (N, C) each."""
    generator = torch.Generator().manual_seed(seed)
    student, noise, imbalance = (
        scale * torch.randn(num_rows, num_classes, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    imbalance = imbalance + torch.linspace(2, -2, num_classes, dtype=torch.float64)
    return student.to(dtype), noise.log_softmax(1).to(dtype), imbalance.log_softmax(1).to(dtype)
