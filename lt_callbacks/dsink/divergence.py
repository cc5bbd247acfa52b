# Legend: N samples, C classes.
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class KnownDivergence(NamedTuple):
    """A divergence that was computed together with its gradient: its backward pass is one product.

    Attributes:
        logits: (N, C) what it is the divergence of, detached.
        value: 0-d float32.
        gradient: (N, C) float32, of ``value`` by ``logits``.
    """

    logits: Tensor
    value: Tensor
    gradient: Tensor

    def is_of(self, logits: Tensor) -> bool:
        """Whether ``logits`` are the very ones: the same memory, read the same way. No value is looked at."""
        known = self.logits
        return (logits.data_ptr(), logits.shape, logits.stride(), logits.dtype, logits.device) == (
            known.data_ptr(),
            known.shape,
            known.stride(),
            known.dtype,
            known.device,
        )

    def attached_to(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``value`` with its graph, from ``logits`` and the (N, C) ``labels`` that it is the divergence of."""
        return _Attached.apply(logits, labels, self.value, self.gradient)


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, value: Tensor, gradient: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(logits, labels, gradient)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        logits, labels, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():
            # The gradient is to be differentiated itself: as a constant it would be left out of that silently.
            mass = labels.sum(dim=1, keepdim=True)
            gradient = (logits.float().softmax(dim=1) * mass - labels) / max(len(logits), 1)
        return (grad_output * gradient).to(logits.dtype), None, None, None
