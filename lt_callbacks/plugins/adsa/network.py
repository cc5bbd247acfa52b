# Legend: B batch, N distilled images, C classes.
from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lt_callbacks._files import sha256
from lt_callbacks.distilled_set import PLAIN_VIEW, DistilledSet, Views
from lt_callbacks.distilled_set.live_labels import in_eval_mode

_PROBED = 8


class TrainedNetwork(nn.Module):
    """A module as its trainer runs it: in the trainer's precision, from images to logits.

    Args:
        module: Its ``forward(images)`` returns (B, C) logits. Not copied.
        precision: The trainer's precision plugin.
    """

    def __init__(self, module: nn.Module, *, precision: Any) -> None:
        super().__init__()
        self.module, self._precision = module, precision

    def forward(self, images: Tensor) -> Any:
        """(B, channels, H, W) float32 images to whatever the module returns."""
        floating = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        with self._precision.forward_context():
            return self.module(self._precision.convert_input(images.to(next(floating, torch.float32))))


@torch.no_grad()
def check_network(network: TrainedNetwork, distilled: DistilledSet, *, device: torch.device) -> None:
    """Raise unless the network gives logits of the set's classes for its images; a forward pass of a few.

    Raises:
        ValueError: The forward pass fails, returns no logits, or logits of another number of classes.
    """
    name, num_classes = type(network.module).__name__, distilled.num_classes
    samples = torch.arange(min(_PROBED, len(distilled)))
    images = Views(distilled, PLAIN_VIEW).images(samples, 0).to(device)
    try:
        with in_eval_mode(network):
            logits = network(images)
    # Whatever the module raises: the images are what is new to it.
    except Exception as error:
        raise ValueError(
            f"`distilled` must hold images that {name} can be called with; `forward` on a float tensor of shape "
            f"{tuple(images.shape)} raised {type(error).__name__}: {error}. Use the set that was distilled from the "
            "data that you train on."
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"{name}.forward(images) must return logits of shape ({len(images)}, C); got {got}. Let `forward` return "
            "the outputs before the softmax."
        )
    if logits.shape[1] != num_classes:
        raise ValueError(
            f"`distilled` must have the classes of the trained model; the set has {num_classes} "
            f"({', '.join(distilled.class_names[:3])}, ...), {name} gives logits of {logits.shape[1]}. Use the set "
            "that was distilled from the data that you train on."
        )


def share_buffers(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, which are those in its checkpoints.

    Batch statistics of the last steps differ over ranks; labels must not depend on which rank made them.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 of all tensors of the state dict, in safetensors' form."""
    from safetensors.torch import save

    # Cloned because safetensors refuses tensors that share memory, as tied weights do.
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor)
    }
    return sha256(save(state))
