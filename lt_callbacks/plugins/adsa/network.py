# Legend: B batch, C classes.
from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import Precision
from torch import Tensor, nn

from lt_callbacks.relabel.network import weights_sha256
from lt_callbacks.relabel.source import LogitSource, logits_of


class TrainedNetwork(nn.Module):
    """A module as its trainer runs it: in the trainer's precision, from images to logits.

    Args:
        module: Its ``forward(images)`` returns (B, C) logits. Not copied.
        precision: The trainer's precision plugin.
    """

    def __init__(self, module: nn.Module, *, precision: Precision) -> None:
        super().__init__()
        self.module, self._precision = module, precision

    def forward(self, images: Tensor) -> Any:
        """(B, channels, H, W) float32 images to whatever the module returns."""
        floating = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        with self._precision.forward_context():
            return self.module(self._precision.convert_input(images.to(next(floating, torch.float32))))


def trained_source(network: TrainedNetwork, trainer: Trainer) -> LogitSource:
    """The logits of a network on its trainer's device; its hash is taken on rank 0, which writes it."""
    return LogitSource(
        of=logits_of(network),
        device=trainer.strategy.root_device,
        model_sha256=weights_sha256(network.module) if trainer.is_global_zero else None,
        precision=str(trainer.precision),
    )


def share_buffers(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, which are those in its checkpoints.

    Batch statistics of the last steps differ over ranks; labels must not depend on which rank made them.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)
