# Legend: N samples, C classes, p student, p_N noise-robust teacher.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._tensors import check_floating


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
        TypeError: An argument is no floating tensor.
        ValueError: Shapes or devices disagree, or the weight is out of range.
    """
    real("student_weight", student_weight, at_least=0.0, at_most=1.0)
    check_same_shape(student_logits=student_logits, noise_log_probs=noise_log_probs)
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


def check_same_shape(**predictions: Tensor) -> None:
    """Refuse predictions, by their names, that are no floating tensors (N, C) of one shape on one device."""
    for name, values in predictions.items():
        check_floating(name, values)
    (first, expected), *others = predictions.items()
    if expected.ndim != 2:
        raise ArgumentValueError(first, rule="have shape (N, C), classes last", got=str(tuple(expected.shape)))
    for name, values in others:
        if values.shape != expected.shape:
            raise ArgumentValueError(
                name,
                rule=f"have the shape of `{first}`, {tuple(expected.shape)}",
                got=str(tuple(values.shape)),
                way_out="All models must have the same classes, in the same order.",
            )
        if values.device != expected.device:
            raise ArgumentValueError(
                name,
                rule=f"be on the device of `{first}`, {expected.device}",
                got=str(values.device),
                way_out=f"Pass `{name}.to({first}.device)`.",
            )


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in the precision that log-probabilities are computed in."""
    return values if values.dtype == torch.float64 else values.float()
