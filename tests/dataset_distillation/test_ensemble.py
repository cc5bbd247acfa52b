import numpy as np
import pytest
import torch
from small_world import trained_network
from torch import nn

from lt_callbacks.dataset_distillation import MeanLogits


def test_logits_are_the_mean_of_the_members_logits():
    networks = [trained_network(seed).eval() for seed in range(3)]
    images = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = np.mean([network(images).detach().double().numpy() for network in networks], axis=0)
    found = MeanLogits(networks)(images)
    np.testing.assert_allclose(found.detach(), expected, atol=1e-5)
    # Not the logarithm of the mean probability, which is another teacher.
    probs = torch.stack([network(images).softmax(dim=1) for network in networks]).mean(dim=0)
    assert not torch.allclose(found.softmax(dim=1), probs, atol=1e-3)


def test_half_precision_members_are_averaged_in_float32():
    class Constant(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, images):
            return torch.full((len(images), 3), self.value, dtype=torch.bfloat16)

    found = MeanLogits([Constant(256.0), Constant(258.0), Constant(258.0)])(torch.zeros(2, 1))
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.full((2, 3), 772 / 3))


def test_members_follow_the_mode_and_the_state():
    teacher = MeanLogits([trained_network(), trained_network(1)]).eval()
    assert not any(module.training for module in teacher.modules())
    assert len(list(teacher.parameters())) == 2 * len(list(trained_network().parameters()))


def test_no_network_is_refused():
    with pytest.raises(ValueError, match="`networks` must hold at least one network; got none"):
        MeanLogits([])
