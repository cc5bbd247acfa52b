from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from lt_callbacks._covering_size import covering_size
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._pictures import picture_as_seen


def preparation(
    *, image_size: tuple[int, int], resize: float, mean: Sequence[float], std: Sequence[float]
) -> v2.Compose:
    """What the network saw of a picture in evaluation: its centre, scaled to [0, 1], less the mean, over the deviation.

    Args:
        image_size: Height and width given out, in pixels.
        resize: The picture is made as small as still covers so many times ``image_size``.
        mean: One a channel, of pixels scaled to [0, 1].
        std: One a channel, > 0.

    Returns:
        A transform of a PIL picture, or of a (C, h, w) uint8 tensor, to (C, H, W) float32.
    """
    return v2.Compose(
        [
            Pixels(num_channels=len(mean)),
            CenterOfResized(image_size, resize=resize),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=list(mean), std=list(std)),
        ]
    )


class Pixels(nn.Module):
    """A picture as RGB, or as grey where the network takes one channel; a tensor of pixels stays as it is.

    Args:
        num_channels: Of the network's images.
    """

    def __init__(self, *, num_channels: int) -> None:
        super().__init__()
        self.num_channels = num_channels

    def forward(self, picture: Image.Image | Tensor) -> Image.Image | Tensor:
        """The picture, checked and converted."""
        if isinstance(picture, Tensor):
            return self._checked(picture)
        if not isinstance(picture, Image.Image):
            raise ArgumentTypeError(
                "picture",
                rule="be a PIL image, or a tensor of pixels",
                got=type(picture).__name__,
                way_out="Open a file with PIL.Image.open, or use `predict`, which takes paths.",
            )
        if self.num_channels not in (1, 3):
            raise ArgumentTypeError(
                "picture",
                rule=f"be a tensor for this network, whose images have {self.num_channels} channels",
                got="a PIL image",
                way_out="Pass its pixels as a (C, H, W) uint8 tensor.",
            )
        rgb = picture_as_seen(picture)
        return rgb.convert("L") if self.num_channels == 1 else rgb

    def _checked(self, pixels: Tensor) -> Tensor:
        if pixels.dtype != torch.uint8 or pixels.ndim != 3 or len(pixels) != self.num_channels:
            raise ArgumentValueError(
                "picture",
                rule=f"be a ({self.num_channels}, H, W) tensor of uint8 pixels",
                got=f"shape {tuple(pixels.shape)}, {pixels.dtype}",
                way_out="Pass pixels from 0 to 255, channels first; prepared images go to the model itself.",
            )
        return pixels


class CenterOfResized(nn.Module):
    """The centre of a picture made as small as still covers ``resize`` times ``size``; one of that size stays as it is.

    Args:
        size: Height and width given out, in pixels.
        resize: >= 1.
    """

    def __init__(self, size: tuple[int, int], *, resize: float) -> None:
        super().__init__()
        self.size, self.resize = size, resize

    def forward(self, picture: Image.Image | Tensor) -> Tensor:
        """(C, H, W) uint8."""
        height, width = F.get_size(picture)
        scaled = covering_size((height, width), self.size, resize=self.resize)
        # A picture is resized by Pillow before it becomes a tensor, as the data sets do: torch rounds otherwise.
        pixels: Tensor = F.to_image(F.center_crop(F.resize(picture, scaled), list(self.size)))
        return pixels.as_subclass(Tensor)
