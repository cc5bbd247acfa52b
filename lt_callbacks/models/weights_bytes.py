from __future__ import annotations

from torch import nn


def weights_bytes(module: nn.Module) -> bytes:
    """The content of a safetensors file with the module's weights and buffers."""
    from safetensors.torch import save

    # Cloned because safetensors refuses tensors that share memory, as tied weights do.
    return save({name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()})
