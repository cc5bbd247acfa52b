from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.objectives import build_objective

CLASS_COUNTS = (50, 20, 7, 1)


@pytest.fixture
def class_counts():
    return np.array(CLASS_COUNTS)


@pytest.fixture
def batch():
    """Logits (6, 4) float64 with a gradient, given labels (6,), identities (6,) out of 20."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.tensor([0, 1, 2, 3, 3, 0]), torch.tensor([11, 4, 19, 0, 7, 2])


@pytest.fixture
def prepared():
    """Build an objective by name and prepare it for 20 samples, 10 epochs and the class counts of this file."""

    def build(name, *, max_epochs=10, num_samples=20, class_counts=CLASS_COUNTS, **settings):
        objective = build_objective(name, settings=settings)
        objective.prepare(class_counts=torch.tensor(class_counts), num_samples=num_samples, max_epochs=max_epochs)
        return objective

    return build
