# Legend: N samples, C classes.
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._tensors import check_floating
from lt_callbacks.dsink.log_kernel import at_least_float32


def proxy_label_loss(logits: Tensor, proxy_labels: Tensor) -> Tensor:
    """Mean over the samples of KL(q_i || softmax(z_i)); its gradient is (softmax(z) - Q) / N.

    Args:
        logits: (N, C) floating, of the model that is trained.
        proxy_labels: (N, C) >= 0; detached here. A row of zeros takes no part but counts in N.

    Returns:
        Scalar float32 (float64 for float64 logits); 0 for an empty batch.

    Raises:
        TypeError: An argument is no floating tensor.
        ValueError: The shapes differ.

    Example:
        >>> import torch
        >>> proxy_label_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """
    check_floating("logits", logits)
    check_floating("proxy_labels", proxy_labels)
    if logits.ndim != 2:
        raise ArgumentValueError("logits", rule="have shape (N, C), classes last", got=str(tuple(logits.shape)))
    if proxy_labels.shape != logits.shape:
        raise ArgumentValueError(
            "proxy_labels",
            rule=f"have the shape of `logits`, {tuple(logits.shape)}",
            got=str(tuple(proxy_labels.shape)),
        )
    with torch.autocast(logits.device.type, enabled=False):
        log_probs = at_least_float32(logits).log_softmax(dim=1)
        labels = proxy_labels.detach().to(log_probs.dtype)
        # A class that the label rules out adds nothing, also where the model rules it out: 0 * log 0 is 0 here.
        cross_entropy = -(labels * log_probs).masked_fill(labels == 0, 0.0).sum()
        divergence = torch.xlogy(labels, labels).sum() + cross_entropy
        return divergence / max(len(logits), 1)


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
