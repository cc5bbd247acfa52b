from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_callbacks.models import PreActResNet18


def test_is_the_published_size():
    network = PreActResNet18(num_classes=10)
    # 11,171,146 of the usual public code, and its missing last batch norm (2 * 512).
    assert sum(p.numel() for p in network.parameters()) == 11_171_146 + 1_024
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len([m for m in layers if getattr(m, "kernel_size", None) != (1, 1)]) == 18


def test_blocks_act_before_they_convolve():
    block = PreActResNet18(num_classes=2, width=4).stages[0].eval()
    nn.init.zeros_(block.conv2.weight)
    hidden = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(hidden), hidden)  # an identity path without an activation, negative values included


def test_the_shortcut_of_a_new_stage_sees_the_activated_input():
    block = PreActResNet18(num_classes=2, width=4).stages[2].eval()
    nn.init.zeros_(block.conv2.weight)
    hidden = torch.randn(2, 4, 8, 8)
    expected = block.shortcut(torch.relu(block.norm1(hidden)))
    torch.testing.assert_close(block(hidden), expected)
    assert expected.shape == (2, 8, 4, 4)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="`width` must be an integer >= 1; got 0"):
        PreActResNet18(num_classes=2, width=0)
    with pytest.raises(ValueError, match="`in_channels` must be an integer >= 1; got 0"):
        PreActResNet18(num_classes=2, in_channels=0)
