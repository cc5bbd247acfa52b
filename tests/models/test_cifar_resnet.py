from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_callbacks.models import CifarResNet


@pytest.mark.parametrize(("depth", "num_parameters"), [(20, 269_722), (32, 464_154)])
def test_is_the_published_size(depth, num_parameters):
    network = CifarResNet(depth=depth, num_classes=10)
    assert sum(p.numel() for p in network.parameters()) == num_parameters
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


def test_shortcut_takes_every_second_pixel_and_pads_channels():
    block = CifarResNet(depth=8, num_classes=2, width=4).stage2[0].eval()
    nn.init.zeros_(block.norm2.weight)
    hidden = torch.rand(1, 4, 6, 6)
    expected = torch.zeros(1, 8, 3, 3)
    expected[:, 2:6] = hidden[:, :, ::2, ::2]
    torch.testing.assert_close(block(hidden), expected)


def test_three_stages_halve_the_image_and_double_the_channels():
    network = CifarResNet(depth=8, num_classes=2, width=5)
    hidden = torch.relu(network.norm(network.conv(torch.randn(2, 3, 32, 32))))
    shapes = []
    for stage in (network.stage1, network.stage2, network.stage3):
        hidden = stage(hidden)
        shapes.append(tuple(hidden.shape))
    assert shapes == [(2, 5, 32, 32), (2, 10, 16, 16), (2, 20, 8, 8)]


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"`depth` must be 6n \+ 2; got 18. Use 20, 32, 44, 56 or 110."):
        CifarResNet(depth=18, num_classes=2)
    with pytest.raises(ValueError, match="`depth` must be an integer >= 8; got 2"):
        CifarResNet(depth=2, num_classes=2)
    with pytest.raises(ValueError, match="`width` must be an integer >= 1; got 0"):
        CifarResNet(depth=20, num_classes=2, width=0)
    with pytest.raises(ValueError, match="`in_channels` must be an integer >= 1; got 0"):
        CifarResNet(depth=20, num_classes=2, in_channels=0)


def test_a_stem_of_stride_2_halves_the_resolution_and_keeps_the_parameters():
    full, half = (CifarResNet(depth=8, num_classes=10, width=8, stem_stride=stride) for stride in (1, 2))
    shapes = []
    for network in (full, half):
        network.stage1.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[2:])))
        network(torch.randn(2, 3, 32, 32))
    assert shapes == [(32, 32), (16, 16)]
    assert [p.shape for p in full.parameters()] == [p.shape for p in half.parameters()]
    with pytest.raises(ValueError, match="`stem_stride` must be an integer >= 1 and <= 2; got 3"):
        CifarResNet(depth=8, num_classes=10, stem_stride=3)
