from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.models.heads import make_head


class CifarResNet(nn.Module):
    """ResNet of depth 6n + 2 for 32x32 images, three stages of n blocks: ResNet-20, ResNet-32 and so on.

    Shortcuts are option A of the paper: where a stage begins, every second pixel and zeros for the new channels, no
    parameters. This is the network of the long-tailed CIFAR benchmarks.

    Args:
        depth: Number of layers with weights, 6n + 2.
        num_classes: C >= 2.
        in_channels: Channels of an image.
        width: Channels of the first stage; the others have twice and four times as many.
        head: ``"linear"`` or ``"cosine"``.
        stem_stride: 1, or 2 for a network at half the resolution: a quarter of the arithmetic at the same width.

    Reference: He et al., Deep Residual Learning for Image Recognition, CVPR 2016 (arXiv 1512.03385), section 4.2.
    """

    def __init__(
        self,
        *,
        depth: int,
        num_classes: int,
        in_channels: int = 3,
        width: int = 16,
        head: str = "linear",
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        integer("depth", depth, at_least=8)
        integer("in_channels", in_channels, at_least=1)
        integer("width", width, at_least=1)
        integer("stem_stride", stem_stride, at_least=1, at_most=2)
        if depth % 6 != 2:
            raise ArgumentValueError("depth", rule="be 6n + 2", got=str(depth), way_out="Use 20, 32, 44, 56 or 110.")
        num_blocks = (depth - 2) // 6
        self.conv = nn.Conv2d(in_channels, width, 3, stride=stem_stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stage1 = _stage(width, width, num_blocks, stride=1)
        self.stage2 = _stage(width, 2 * width, num_blocks, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, num_blocks, stride=2)
        self.head = make_head(head, 4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images to (B, 4 * width) features."""
        hidden = F.relu(self.norm(self.conv(images)))
        return self.stage3(self.stage2(self.stage1(hidden))).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images to (B, C) logits."""
        return self.head(self.features(images))


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.num_new_channels = out_channels - in_channels

    def forward(self, hidden: Tensor) -> Tensor:
        residual = F.relu(self.norm1(self.conv1(hidden)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self._shortcut(hidden))

    def _shortcut(self, hidden: Tensor) -> Tensor:
        if self.num_new_channels == 0:
            return hidden
        before = self.num_new_channels // 2
        padding = (0, 0, 0, 0, before, self.num_new_channels - before)
        return F.pad(hidden[:, :, :: self.stride, :: self.stride], padding)


def _stage(in_channels: int, out_channels: int, num_blocks: int, *, stride: int) -> nn.Sequential:
    first = _Block(in_channels, out_channels, stride)
    return nn.Sequential(first, *(_Block(out_channels, out_channels, 1) for _ in range(num_blocks - 1)))
