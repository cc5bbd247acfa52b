# Legend: B batch, N images of the set, H x W image. One call for a whole batch, each image at its own place.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def whole(images: Tensor, samples: Tensor, *, mirrored: Tensor) -> Tensor:
    """(B, channels, H, W) float32 in [0, 1]: the images ``samples``, some ``mirrored``."""
    chosen = as_float(images[samples])
    return torch.where(mirrored.view(-1, 1, 1, 1), chosen.flip(-1), chosen)


def shifted(images: Tensor, samples: Tensor, offsets: Tensor, *, padding: int, mirrored: Tensor) -> Tensor:
    """Crops of the images with a black border, exact pixels.

    Args:
        images: (N, channels, H, W) uint8, or float32 in [0, 1].
        samples: (B,) int64 positions in ``images``.
        offsets: (B, 2) int64 in [0, 2 ``padding``]: row and column where the crop starts in the padded image.
        padding: Width of the border in pixels.
        mirrored: (B,) bool; those crops are mirrored.

    Returns:
        (B, channels, H, W) float32 in [0, 1].
    """
    rows, columns = (
        torch.arange(full, device=images.device) + (offset - padding).unsqueeze(1)
        for full, offset in zip(images.shape[2:], offsets.unbind(1), strict=True)
    )
    # Whole places and the nearest pixel: no rounding of the grid can reach another one.
    return _at(images, samples, rows, _mirror(columns, mirrored), mode="nearest", outside="zeros")


def resized(images: Tensor, samples: Tensor, boxes: Tensor, *, mirrored: Tensor) -> Tensor:
    """Parts of the images, resized to the full size: bilinear, as ``torchvision``'s ``resized_crop``.

    A box is never larger than the image, so that there is nothing to smooth before.

    Args:
        images: (N, channels, H, W) uint8, or float32 in [0, 1].
        samples: (B,) int64 positions in ``images``.
        boxes: (B, 4) int64: top, left, height, width.
        mirrored: (B,) bool; those parts are mirrored.

    Returns:
        (B, channels, H, W) float32 in [0, 1].
    """
    top, left, box_height, box_width = boxes.unbind(1)
    rows = _spread(top, box_height, images.shape[2])
    columns = _spread(left, box_width, images.shape[3])
    return _at(images, samples, rows, _mirror(columns, mirrored), mode="bilinear", outside="border")


def pasted(own: Tensor, partner: Tensor, boxes: Tensor) -> Tensor:
    """``own`` (B, channels, H, W) with ``partner``'s pixels inside ``boxes`` (B, 4): top, left, bottom, right."""
    rows = torch.arange(own.shape[2], device=own.device)
    columns = torch.arange(own.shape[3], device=own.device)
    top, left, bottom, right = boxes.unsqueeze(2).unbind(1)
    is_row = (rows >= top) & (rows < bottom)
    is_column = (columns >= left) & (columns < right)
    return torch.where(is_row[:, None, :, None] & is_column[:, None, None, :], partner, own)


def as_float(images: Tensor) -> Tensor:
    """Pixels as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images


def _spread(start: Tensor, length: Tensor, num_pixels: int) -> Tensor:
    """(B, ``num_pixels``) float64 places: the centres of as many equal parts of ``length`` pixels from ``start``."""
    start, length = start.to(torch.float64).unsqueeze(1), length.to(torch.float64).unsqueeze(1)
    place = (torch.arange(num_pixels, dtype=torch.float64, device=start.device) + 0.5) * (length / num_pixels) - 0.5
    # As if the box had been cut out before: its border pixels are repeated, those beyond are not seen.
    return torch.minimum(place.clamp_min(0), length - 1) + start


def _mirror(columns: Tensor, mirrored: Tensor) -> Tensor:
    return torch.where(mirrored[:, None], columns.flip(1), columns)


def _at(images: Tensor, samples: Tensor, rows: Tensor, columns: Tensor, *, mode: str, outside: str) -> Tensor:
    """(B, channels, H, W): pixel (b, c, i, j) is image samples[b] at rows[b, i], columns[b, j], in pixels from 0."""
    chosen = as_float(images[samples])
    height, width = images.shape[2:]
    # grid_sample's own coordinates: -1 and 1 are the outer edges of the image.
    across = ((2 * columns.to(torch.float64) + 1) / width - 1).to(torch.float32)
    down = ((2 * rows.to(torch.float64) + 1) / height - 1).to(torch.float32)
    grid = torch.stack(
        [across[:, None, :].expand(-1, down.shape[1], -1), down[:, :, None].expand(-1, -1, across.shape[1])], dim=3
    )
    return F.grid_sample(chosen, grid, mode=mode, padding_mode=outside, align_corners=False)
