from __future__ import annotations

import pytest
import torch

from lt_callbacks.models import SmallCNN


@pytest.mark.parametrize("width", [4, 8])
def test_sizes(width):
    network = SmallCNN(num_classes=7, in_channels=1, width=width)
    convolutions = 9 * (1 * width + width * 2 * width + 2 * width * 2 * width)
    norms = 2 * (width + 2 * width + 2 * width)
    assert sum(p.numel() for p in network.parameters()) == convolutions + norms + 2 * width * 7 + 7
    assert network.features(torch.randn(2, 1, 8, 8)).shape == (2, 2 * width)


def test_learns_by_heart():
    torch.manual_seed(0)
    network = SmallCNN(num_classes=4, in_channels=1, width=16)
    images, labels = torch.randn(32, 1, 8, 8), torch.randint(4, (32,))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    assert (network.eval()(images).argmax(dim=1) == labels).all()


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="`width` must be an integer >= 1; got 0"):
        SmallCNN(num_classes=2, width=0)
    with pytest.raises(ValueError, match="`in_channels` must be an integer >= 1; got 0"):
        SmallCNN(num_classes=2, in_channels=0)
