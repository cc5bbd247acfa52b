from __future__ import annotations

from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks.models.heads import make_head


class SmallCNN(nn.Module):
    """Three 3x3 convolutions with batch norm, two poolings, global average: for 8x8 to 32x32 images on a CPU.

    Args:
        num_classes: C >= 2.
        in_channels: Channels of an image.
        width: Channels of the first layer; the other two have twice as many.
        head: ``"linear"`` or ``"cosine"``.
    """

    def __init__(self, *, num_classes: int, in_channels: int = 3, width: int = 32, head: str = "linear") -> None:
        super().__init__()
        integer("in_channels", in_channels, at_least=1)
        integer("width", width, at_least=1)
        self.layers = nn.Sequential(
            *_convolution(in_channels, width),
            nn.MaxPool2d(2),
            *_convolution(width, 2 * width),
            nn.MaxPool2d(2),
            *_convolution(2 * width, 2 * width),
        )
        self.head = make_head(head, 2 * width, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images, H and W >= 4, to (B, 2 * width) features."""
        return self.layers(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) images to (B, C) logits."""
        return self.head(self.features(images))


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
