# Legend: B batch, C channels, H x W image, P padding.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lt_callbacks._counter_random import random_integers, stream_key


class BatchView:
    """Turns uint8 images into what a network sees: random crop of the padded image, random mirroring, normalisation.

    Whole batches on the device where they live. What happens to a sample depends on (seed, epoch, index) alone: not on
    its batch, the device, the number of workers or any generator's state, so that a resumed run sees the same views.

    Args:
        mean: One a channel, of pixels scaled to [0, 1].
        std: One a channel, > 0.
        crop_padding: Black border in pixels on each side before the crop; 0: no crop.
        flip: Whether half of the images are mirrored.
        seed: The training seed.
        device: Where the images live.
    """

    def __init__(
        self,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        crop_padding: int = 0,
        flip: bool = False,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.crop_padding, self.flip, self.seed = crop_padding, flip, seed
        channels = (1, len(mean), 1, 1)
        mean64, std64 = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        # (x / 255 - mean) / std as one multiplication and one addition
        self._scale = (1 / (255 * std64)).to(torch.float32).view(channels).to(device)
        self._shift = (-mean64 / std64).to(torch.float32).view(channels).to(device)

    def __call__(self, images: Tensor, index: Tensor, *, epoch: int) -> Tensor:
        """Views of a batch in an epoch: (B, C, H, W) float32, of the uint8 ``images`` of the samples ``index`` (B,)."""
        if self.crop_padding:
            offsets = crop_offsets(index, seed=self.seed, epoch=epoch, padding=self.crop_padding)
            mirrored = mirrored_samples(index, seed=self.seed, epoch=epoch) if self.flip else None
            images = crop(images, offsets, padding=self.crop_padding, mirrored=mirrored)
        elif self.flip:
            mirrored = mirrored_samples(index, seed=self.seed, epoch=epoch)
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        return images.to(torch.float32).mul_(self._scale).add_(self._shift)


def crop_offsets(index: Tensor, *, seed: int, epoch: int, padding: int) -> Tensor:
    """Row and column where each sample's crop starts in its padded image: (B, 2) int64 in [0, 2 P]; P is no shift."""
    sides = [
        random_integers(index, stream_key(purpose, seed=seed, epoch=epoch), bound=2 * padding + 1)
        for purpose in ("crop row", "crop column")
    ]
    return torch.stack(sides, dim=1)


def mirrored_samples(index: Tensor, *, seed: int, epoch: int) -> Tensor:
    """Which samples are mirrored in an epoch: (B,) bool."""
    return random_integers(index, stream_key("flip", seed=seed, epoch=epoch), bound=2) == 1


def crop(images: Tensor, offsets: Tensor, *, padding: int, mirrored: Tensor | None = None) -> Tensor:
    """Crop each image of a batch at its own place, mirroring some, in one gather.

    Args:
        images: (B, C, H, W), any dtype; padded here with zeros.
        offsets: (B, 2) int64 in [0, 2 P], see `crop_offsets`.
        padding: P >= 0, in pixels.
        mirrored: (B,) bool, or None for no mirroring.

    Returns:
        (B, C, H, W) as the images.
    """
    num_images, num_channels, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    columns = torch.arange(width, device=images.device).expand(num_images, -1)
    if mirrored is not None:
        columns = torch.where(mirrored.view(-1, 1), columns.flip(1), columns)
    columns = columns + offsets[:, 1:]
    rows = torch.arange(height, device=images.device) + offsets[:, :1]
    flat = (rows.unsqueeze(2) * padded.shape[-1] + columns.unsqueeze(1)).flatten(1).unsqueeze(1)
    pixels = padded.flatten(2).gather(2, flat.expand(-1, num_channels, -1))
    return pixels.view(images.shape)
