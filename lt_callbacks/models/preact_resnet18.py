from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks.models.heads import make_head


class PreActResNet18(nn.Module):
    """ResNet-18 with batch norm and ReLU before each convolution, for 32x32 images (3x3 stem, no pooling).

    The network of the label-noise benchmarks. As in the paper a last batch norm and ReLU follow the residual stages;
    many public re-implementations leave them out (1,024 parameters fewer at the default width). Where a stage begins,
    the shortcut is a 1x1 convolution of the activated input.

    Args:
        num_classes: C >= 2.
        in_channels: Channels of an image.
        width: Channels of the first stage; each of the other three doubles them.
        head: ``"linear"`` or ``"cosine"``.

    Reference: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016 (arXiv 1603.05027).
    """

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: int = 64, head: str = "linear") -> None:
        super().__init__()
        integer("in_channels", in_channels, at_least=1)
        integer("width", width, at_least=1)
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.stages = nn.Sequential(
            _Block(width, width, 1),
            _Block(width, width, 1),
            _Block(width, 2 * width, 2),
            _Block(2 * width, 2 * width, 1),
            _Block(2 * width, 4 * width, 2),
            _Block(4 * width, 4 * width, 1),
            _Block(4 * width, 8 * width, 2),
            _Block(8 * width, 8 * width, 1),
        )
        self.norm = nn.BatchNorm2d(8 * width)
        self.head = make_head(head, 8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images to (B, 8 * width) features."""
        return F.relu(self.norm(self.stages(self.conv(images)))).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images to (B, C) logits."""
        return self.head(self.features(images))


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        activated = F.relu(self.norm1(hidden))
        identity = hidden if self.shortcut is None else self.shortcut(activated)
        residual = self.conv2(F.relu(self.norm2(self.conv1(activated))))
        return residual + identity
