from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from lt_callbacks._checks import as_path, integer
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._pictures import read_picture
from lt_callbacks.trained_model.facts import ModelFacts
from lt_callbacks.trained_model.preparation import preparation

#: What `TrainedModel.predict` takes for one picture.
Picture = str | os.PathLike[str] | Image.Image | Tensor


class TrainedModel(nn.Module):
    """A trained network with all that is needed to use it: called with prepared images it gives logits.

    Args:
        network: (B, C, H, W) prepared images to (B, num_classes) logits; shared, not copied.
        facts: What is known of it.

    Attributes:
        network: The network.
        facts: The row it is, how it was scored, and all that follows.
        class_names: In the order of the logits.
        image_size: Height and width of a prepared image, in pixels.
        num_channels: Of a prepared image.
        preprocess: From a PIL picture, or a (C, h, w) uint8 tensor, to a prepared image (C, H, W) float32.
    """

    def __init__(self, *, network: nn.Module, facts: ModelFacts) -> None:
        super().__init__()
        self.network, self.facts = network, facts
        self.class_names, self.image_size = facts.class_names, facts.image_size
        self.num_channels = len(facts.mean)
        self.preprocess = preparation(image_size=facts.image_size, resize=facts.resize, mean=facts.mean, std=facts.std)
        self._memory_format = torch.channels_last if facts.channels_last else torch.contiguous_format
        self.network.to(memory_format=self._memory_format)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) prepared images to (B, num_classes) logits."""
        logits: Tensor = self.network(images.contiguous(memory_format=self._memory_format))
        return logits

    @torch.inference_mode()
    def predict(self, pictures: Picture | Sequence[Picture], *, batch_size: int = 64) -> Tensor:
        """Probabilities of pictures: (N, num_classes) float32 on the CPU, rows sum to 1.

        Args:
            pictures: Paths of files, PIL pictures or (C, h, w) uint8 tensors; one alone counts as N = 1.
            batch_size: Pictures at once.

        Raises:
            ValueError: A picture cannot be read, or there is none.
        """
        integer("batch_size", batch_size, at_least=1)
        is_one = isinstance(pictures, str | bytes | os.PathLike | Mapping | Image.Image | Tensor)
        given: Any = [pictures] if is_one or not isinstance(pictures, Iterable) else list(pictures)
        if not given:
            raise ArgumentValueError("pictures", rule="hold at least one", got="none", way_out="Pass paths of files.")
        parts = []
        for start in range(0, len(given), batch_size):
            batch = torch.stack([self._prepared(picture) for picture in given[start : start + batch_size]])
            parts.append(self.probabilities(batch))
        return torch.cat(parts)

    @torch.inference_mode()
    def probabilities(self, images: Tensor) -> Tensor:
        """(B, C, H, W) prepared images to (B, num_classes) probabilities, float32 on the CPU."""
        device = next(self.network.parameters()).device
        return self(images.to(device)).float().softmax(dim=1).cpu()

    def extra_repr(self) -> str:
        """Row, score and data, for printing."""
        return self.facts.summary()

    def _prepared(self, picture: Picture) -> Tensor:
        is_seen = isinstance(picture, Image.Image | Tensor)
        prepared: Tensor = self.preprocess(picture if is_seen else read_picture(as_path("pictures", picture)))
        return prepared
