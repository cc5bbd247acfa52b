# Legend: B batch, N images of the set, H x W image.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError
from lt_callbacks.distilled_set import pixels
from lt_callbacks.distilled_set import view_decisions as decide
from lt_callbacks.distilled_set.distilled_set import DistilledSet, checked_set
from lt_callbacks.distilled_set.sample_index import checked_samples
from lt_callbacks.distilled_set.view_settings import ViewSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixing:
    """Which images a batch of views is mixed with, and which share of each view is its own.

    Attributes:
        partner: (B,) int64, the position of the other image in the distilled set; the sample itself where not mixed.
        share: (B,) float32 in [0, 1], the exact share of the sample's own pixels (CutMix) or weight (MixUp); the
            partner has the rest. 1 where not mixed.
    """

    partner: Tensor
    share: Tensor


class Views:
    """A distilled set as a network sees it: crop, mirroring, mixing, normalisation, a whole batch at a time.

    View v of sample i is a function of (``settings.seed``, i, v) and of the set, and of nothing else: not of the batch,
    its order, the rank, the process or the device. What is decided agrees in every bit on a CPU and a GPU, pixels up to
    float32 rounding. The set's pixels are held on the device, uint8 as uint8.

    Args:
        distilled: The set.
        settings: How it is varied.
        device: Where the pixels are held and views are made.
    """

    def __init__(self, distilled: DistilledSet, settings: ViewSettings, *, device: torch.device | str = "cpu") -> None:
        distilled = checked_set(distilled)
        if not isinstance(settings, ViewSettings):
            raise ArgumentTypeError(
                "settings",
                rule="be ViewSettings",
                got=type(settings).__name__,
                way_out="Use PLAIN_VIEW for unvaried images.",
            )
        self.distilled, self.settings, self.device = distilled, settings, torch.device(device)
        self._pixels = distilled.images.to(self.device)
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(-1, 1, 1)
            for values in (distilled.mean, distilled.std)
        )
        self._ratios = decide.crop_ratios().to(self.device)
        # Without mixing no weight is drawn, and 1 is the alpha that needs no scipy.
        alpha = 1.0 if settings.mix == "none" else settings.mix_alpha
        self._weights = decide.mixing_weights(alpha).to(self.device)

    def __len__(self) -> int:
        return len(self.distilled)

    def images(self, samples: Tensor, view: int) -> Tensor:
        """Network input of samples in one view: (B, channels, H, W) float32, normalised, on the views' device.

        A mixed view shows the sample's own crop and its partner's crop of the same view; mixing comes before
        normalisation.

        Args:
            samples: (B,) int64 positions in the set, on any device; checked on the CPU only.
            view: Number of the view, >= 0.

        Raises:
            TypeError, ValueError: A position or the view is out of range.
        """
        samples, view = self._checked(samples, view)
        seen = self._cropped(samples, view)
        if self.settings.mix != "none":
            mixing = self.mixing(samples, view)
            other = self._cropped(mixing.partner, view)
            if self.settings.mix == "cutmix":
                seen = pixels.pasted(seen, other, self._cutmix_boxes(samples, view))
            else:
                seen = torch.lerp(other, seen, mixing.share.view(-1, 1, 1, 1))
        return (seen - self._mean).div_(self._std)

    def mixing(self, samples: Tensor, view: int) -> Mixing:
        """Which images the views of :meth:`images` are mixed with, and which share of each is its own."""
        samples, view = self._checked(samples, view)
        if self.settings.mix == "none":
            return Mixing(partner=samples, share=torch.ones(len(samples), device=self.device))
        partner = decide.partners(samples, self.settings, view=view, num_images=len(self))
        if self.settings.mix == "cutmix":
            top, left, bottom, right = self._cutmix_boxes(samples, view).unbind(1)
            area = (bottom - top) * (right - left)
            share = 1 - area.to(torch.float64) / (self._pixels.shape[2] * self._pixels.shape[3])
        else:
            share = decide.drawn_weights(samples, self.settings, view=view, weights=self._weights)
        return Mixing(partner=partner, share=share.to(torch.float32))

    def _checked(self, samples: Tensor, view: int) -> tuple[Tensor, int]:
        view = integer("view", view, at_least=0)
        return checked_samples(samples, num_images=len(self), device=self.device), view

    def _cropped(self, samples: Tensor, view: int) -> Tensor:
        mirrored = decide.is_mirrored(samples, self.settings, view=view)
        if self.settings.crop == "resized":
            size = (self._pixels.shape[2], self._pixels.shape[3])
            boxes = decide.crop_boxes(samples, self.settings, view=view, size=size, ratios=self._ratios)
            return pixels.resized(self._pixels, samples, boxes, mirrored=mirrored)
        if self.settings.crop == "padded":
            offsets = decide.crop_offsets(samples, self.settings, view=view)
            return pixels.shifted(self._pixels, samples, offsets, padding=self.settings.crop_padding, mirrored=mirrored)
        return pixels.whole(self._pixels, samples, mirrored=mirrored)

    def _cutmix_boxes(self, samples: Tensor, view: int) -> Tensor:
        size = (self._pixels.shape[2], self._pixels.shape[3])
        return decide.cutmix_boxes(samples, self.settings, view=view, size=size, weights=self._weights)
