# Legend: B batch, C classes.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lt_callbacks.distilled_set import LiveLabels, Views
from lt_callbacks.relabel.network import weights_sha256

#: (B,) positions in the set, number of a view -> (B, C) float32 logits, without a graph.
ViewLogits = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogitSource:
    """Where the uncalibrated logits of a distilled set come from, and what made them.

    What is not known is None, and null in the files.

    Attributes:
        of: Gives the logits of any views of the set: those that tau is fitted on, and those that are labelled.
        device: Where views are made, that of the network behind ``of``.
        stored: The logits of the views that are labelled, where they are kept already; None: ``of`` makes them.
        model_sha256: Of the weights that the logits come from.
        networks: Keys of the stored networks whose mean logits they are.
        precision: What the forward passes were computed in, as Lightning calls it.
    """

    of: Callable[[Views], ViewLogits]
    device: torch.device
    stored: ViewLogits | None = None
    model_sha256: str | None = None
    networks: tuple[str, ...] | None = None
    precision: str | None = None


def logits_of(network: nn.Module) -> Callable[[Views], ViewLogits]:
    """A function from views to their logits by ``network``, whose ``forward(images)`` returns (B, C) logits."""
    return lambda views: LiveLabels(network, views).logits


def network_source(network: nn.Module) -> LogitSource:
    """The logits of a network as it is: on its device, in the dtype of its weights."""
    first = next(iter(network.parameters()), torch.zeros(0))
    return LogitSource(of=logits_of(network), device=first.device, model_sha256=weights_sha256(network))
