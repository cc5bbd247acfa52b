from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError


class MeanLogits(nn.Module):
    """Several networks as one teacher: the mean of their logits, as EDC and G-VBSM label.

    Args:
        networks: At least one; (B, channels, H, W) images to (B, C) logits each.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ArgumentValueError(
                "networks", rule="hold at least one network", got="none", way_out="Pass the trained ones."
            )
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) images to (B, C) mean logits, float32."""
        return torch.stack([network(images).float() for network in self.networks]).mean(dim=0)
