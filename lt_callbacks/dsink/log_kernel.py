# Legend: N samples, C classes, p student, p_N noise-robust teacher.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError


@torch.no_grad()
def log_kernel(student_logits: Tensor, noise_log_probs: Tensor, *, student_weight: float = 0.5) -> Tensor:
    """The kernel w * log p + (1 - w) * log p_N, negative cost of D-SINK over its entropic weight (exponent of Eq. 4).

    Args:
        student_logits: (N, C) floating.
        noise_log_probs: (N, C) floating, log-probabilities of the noise-robust teacher.
        student_weight: w in [0, 1]; 1/2 is the paper's.

    Returns:
        (N, C) float32, or float64 where an input is.

    Raises:
        ValueError: Shapes disagree, or the weight is out of range.
    """
    real("student_weight", student_weight, at_least=0.0, at_most=1.0)
    if student_logits.ndim != 2:
        raise ArgumentValueError(
            "student_logits", rule="have shape (N, C), classes last", got=str(tuple(student_logits.shape))
        )
    if noise_log_probs.shape != student_logits.shape:
        raise ArgumentValueError(
            "noise_log_probs",
            rule=f"have the shape of `student_logits`, {tuple(student_logits.shape)}",
            got=str(tuple(noise_log_probs.shape)),
            way_out="Both models must have the same classes, in the same order.",
        )
    with torch.autocast(student_logits.device.type, enabled=False):
        student = at_least_float32(student_logits).log_softmax(dim=1)
        return weighted_log_probs(student, at_least_float32(noise_log_probs), student_weight=student_weight)


def weighted_log_probs(student: Tensor, noise: Tensor, *, student_weight: float) -> Tensor:
    """The sum w * log p + (1 - w) * log p_N of (N, C) log-probabilities, float32 or better."""
    # The two ends are spelled out because 0 * log 0 is not 0.
    if student_weight == 1:
        return student
    if student_weight == 0:
        return noise
    return torch.add((1 - student_weight) * noise, student, alpha=student_weight)


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in the precision that log-probabilities are computed in."""
    return values if values.dtype == torch.float64 else values.float()
