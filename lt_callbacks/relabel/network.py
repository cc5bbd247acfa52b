# Legend: B batch, C classes.
from __future__ import annotations

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._files import sha256
from lt_callbacks.distilled_set import PLAIN_VIEW, DistilledSet, Views
from lt_callbacks.distilled_set.live_labels import in_eval_mode

_NUM_PROBED = 8
_OTHER_SET = "Use the set that was distilled from the data that you train on."


@torch.no_grad()
def check_network(network: nn.Module, distilled: DistilledSet, *, device: torch.device, name: str = "") -> None:
    """Raise unless the network gives logits of the set's classes for its images; a forward pass of a few.

    Args:
        network: On ``device``; left in the modes that it was in.
        distilled: The set.
        device: Where the forward pass is done.
        name: What an error calls the network; empty: its class.

    Raises:
        ValueError: The forward pass fails, returns no logits, or logits of another number of classes.
    """
    name = name or type(network).__name__
    samples = torch.arange(min(_NUM_PROBED, len(distilled)))
    images = Views(distilled, PLAIN_VIEW).images(samples, 0).to(device)
    try:
        with in_eval_mode(network):
            logits = network(images)
    # Whatever the network raises: the images are what is new to it.
    except Exception as error:
        raise ArgumentValueError(
            "distilled",
            rule=f"hold images that {name} can be called with",
            got=f"a float tensor of shape {tuple(images.shape)}, on which `forward` raised "
            f"{type(error).__name__}: {error}",
            way_out=_OTHER_SET,
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ArgumentValueError(
            f"{name}.forward",
            rule=f"return logits of shape ({len(images)}, C)",
            got=str(got),
            way_out="Let `forward` return the outputs before the softmax.",
        )
    if logits.shape[1] != distilled.num_classes:
        raise ArgumentValueError(
            "distilled",
            rule="have the classes of the trained model",
            got=f"a set of {distilled.num_classes} ({', '.join(distilled.class_names[:3])}, ...), where {name} gives "
            f"logits of {logits.shape[1]}",
            way_out=_OTHER_SET,
        )


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
