from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen_in_eval_mode(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Networks in eval mode whose weights take no gradient, for a block; afterwards each layer is as it was."""
    were_training = [module for network in networks for module in network.modules() if module.training]
    had_gradient = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    try:
        for network in networks:
            network.eval()
        for weight in had_gradient:
            weight.requires_grad_(False)
        yield
    finally:
        # Not `train()`: a layer that its owner froze in eval mode stays so.
        for module in were_training:
            module.training = True
        for weight in had_gradient:
            weight.requires_grad_(True)
