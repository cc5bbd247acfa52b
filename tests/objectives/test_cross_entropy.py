from __future__ import annotations

import math

import pytest
import torch

from lt_callbacks.objectives import CrossEntropy


def test_known_values():
    assert CrossEntropy()(torch.zeros(3, 8), torch.tensor([0, 7, 3])).item() == pytest.approx(math.log(8))
    logits = torch.tensor([[math.log(3.0), 0.0]])
    assert CrossEntropy()(logits, torch.tensor([0])).item() == pytest.approx(math.log(4 / 3))


def test_gradient_is_probability_minus_label(batch):
    logits, given_label, _ = batch
    CrossEntropy()(logits, given_label).backward()
    expected = logits.detach().softmax(dim=1)
    expected[torch.arange(6), given_label] -= 1
    torch.testing.assert_close(logits.grad, expected / 6)
