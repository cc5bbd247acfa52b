from __future__ import annotations

import torch

from lt_callbacks.data.sources.statistics import channel_statistics


def test_statistics_equal_those_in_float64():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 3, 7, 5), dtype=torch.uint8, generator=generator)
    images[:, 1] //= 4
    mean, std = channel_statistics(images)
    scaled = images.double().transpose(0, 1).flatten(1) / 255
    torch.testing.assert_close(torch.tensor(mean).double(), scaled.mean(dim=1), atol=5.1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(std).double(), scaled.std(dim=1, correction=0), atol=5.1e-5, rtol=0)


def test_a_constant_channel_does_not_divide_by_zero():
    assert channel_statistics(torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)) == ((1.0,), (1.0,))
