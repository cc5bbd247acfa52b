# Legend: B labels, C classes, k = `top_k`.
# p_1 >= p_2 >= ... are a label's probabilities. Kept are the k largest classes, the gaps log p_1 - log p_j of j = 2..k
# in 8 bits, and the gap of the mean probability of all other classes in float16, which is also the range of the 8 bits.
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import integer, real
from lt_callbacks._errors import ArgumentValueError

#: Codes are spaced as squares: the difference of two large probabilities matters more than that of two small ones.
_LEVELS = 255
_MAX_FLOAT16 = float(np.finfo(np.float16).max)


def class_dtype(num_classes: int) -> type[np.unsignedinteger]:
    """The smallest dtype that holds a class index.

    Raises:
        ValueError: More classes than 16 bits count.
    """
    if num_classes > 1 << 16:
        raise ArgumentValueError(
            "top_k",
            rule=f"be None for more than {1 << 16} classes, as indices are kept in 16 bits",
            got=f"{num_classes} classes",
            way_out="Leave it out.",
        )
    return np.uint8 if num_classes <= 1 << 8 else np.uint16


def checked_top_k(top_k: int, num_classes: int) -> int:
    """``top_k`` as an int, after a check that it lies in 1..C.

    Raises:
        TypeError, ValueError: It is out of range, or there are too many classes for the compact form.
    """
    class_dtype(num_classes)
    return integer("top_k", top_k, at_least=1, at_most=num_classes)


def encode(logits: Tensor, *, top_k: int) -> dict[str, np.ndarray]:
    """The compact form of labels, which keeps softmax(logits) and not the logits' level.

    Args:
        logits: (B, C) floating, finite.
        top_k: k, in 1..C.

    Returns:
        ``classes`` (B, k) uint8 or uint16, largest first; ``gaps`` (B, k - 1) uint8; ``range`` (B,) float16.
    """
    log_probs = logits.detach().cpu().to(torch.float64).log_softmax(dim=1)
    num_classes = log_probs.shape[1]
    ranked, classes = log_probs.sort(dim=1, descending=True, stable=True)
    gaps = ranked[:, :1] - ranked[:, 1:top_k]
    if top_k < num_classes:
        rest = ranked[:, top_k:].logsumexp(dim=1) - np.log(num_classes - top_k)
        widest = ranked[:, 0] - rest
    else:
        widest = gaps[:, -1]
    # Rounded first: codes are relative to the range that will be read.
    widest = widest.clamp(0, _MAX_FLOAT16).to(torch.float16)
    relative = gaps / widest.to(torch.float64).clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    codes = (relative.clamp(0, 1).sqrt() * _LEVELS).round()
    return {
        "classes": classes[:, :top_k].numpy().astype(class_dtype(num_classes)),
        "gaps": codes.numpy().astype(np.uint8),
        "range": widest.numpy(),
    }


def decode(parts: Mapping[str, np.ndarray], *, num_classes: int) -> Tensor:
    """Labels back from the compact form: (B, C) float32 log-probabilities, equal for all classes that were not kept."""
    widest = torch.from_numpy(parts["range"].astype(np.float64))[:, None]
    levels = torch.from_numpy(parts["gaps"].astype(np.float64)) / _LEVELS
    classes = torch.from_numpy(parts["classes"].astype(np.int64))
    found = (-widest).expand(-1, num_classes).clone()
    found.scatter_(1, classes[:, :1], 0.0)
    found.scatter_(1, classes[:, 1:], -levels.square() * widest)
    return found.log_softmax(dim=1).to(torch.float32)


def bytes_per_label(*, num_classes: int, top_k: int | None) -> int:
    """Bytes that one label takes on disk: float16 logits (``top_k`` None), or the compact form."""
    if top_k is None:
        return 2 * num_classes
    top_k = checked_top_k(top_k, num_classes)
    return top_k * np.dtype(class_dtype(num_classes)).itemsize + (top_k - 1) + 2


def compact_error(logits: Tensor, *, top_k: int, temperature: float = 1.0) -> dict[str, float]:
    """How far labels move when they are kept in the compact form.

    Measure it on the logits that will be stored, after their calibration, and at the temperature of the student's loss.

    Args:
        logits: (B, C) floating, finite, B >= 1.
        top_k: k, in 1..C.
        temperature: Divides logits before the softmax, > 0.

    Returns:
        ``mean_total_variation`` and ``largest_total_variation`` in [0, 1], and ``mean_kl`` in nats, between softmax of
        the logits / temperature and of the decoded log-probabilities / temperature; ``bytes_per_label`` and
        ``bytes_per_label_float16``.
    """
    temperature = real("temperature", temperature, above=0.0)
    if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.ndim != 2 or not len(logits):
        got = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise ArgumentValueError("logits", rule="be floating with shape (B, C), B >= 1", got=str(got))
    if not logits.isfinite().all():
        raise ArgumentValueError(
            "logits", rule="be finite", got="NaN or infinity", way_out="Find out why the model gives them."
        )
    num_classes = logits.shape[1]
    top_k = checked_top_k(top_k, num_classes)
    decoded = decode(encode(logits, top_k=top_k), num_classes=num_classes)
    log_p, log_q = (
        (values.detach().cpu().to(torch.float64) / temperature).log_softmax(dim=1) for values in (logits, decoded)
    )
    p = log_p.exp()
    variation = (p - log_q.exp()).abs().sum(dim=1) / 2
    return {
        "mean_total_variation": float(variation.mean()),
        "largest_total_variation": float(variation.max()),
        "mean_kl": float((p * (log_p - log_q)).sum(dim=1).mean()),
        "bytes_per_label": bytes_per_label(num_classes=num_classes, top_k=top_k),
        "bytes_per_label_float16": bytes_per_label(num_classes=num_classes, top_k=None),
    }
