from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks.transport import SinkhornResult, sinkhorn


@torch.no_grad()
def log_kernel(student_logits: Tensor, noise_log_probs: Tensor, *, student_weight: float = 0.5) -> Tensor:
    """The kernel w * log p + (1 - w) * log p_N, negative cost of D-SINK over its entropic weight (exponent of Eq. 4).

    Args:
        student_logits: (N, C) floating.
        noise_log_probs: (N, C) floating, log-probabilities of the noise-robust teacher.
        student_weight: w in [0, 1]; 1/2 is the paper's.

    Returns:
        (N, C) float32, or float64 where an input is.
    """
    real("student_weight", student_weight, at_least=0.0, at_most=1.0)
    if student_logits.shape != noise_log_probs.shape or student_logits.ndim != 2:
        raise ValueError(
            f"`student_logits` and `noise_log_probs` must have one shape (N, C); got {tuple(student_logits.shape)} and "
            f"{tuple(noise_log_probs.shape)}. Both models must have the same classes, in the same order."
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


def proxy_labels(
    student_logits: Tensor,
    noise_log_probs: Tensor,
    class_marginal: Tensor,
    *,
    student_weight: float = 0.5,
    tolerance: float = 1e-3,
    criterion: str = "total_variation",
    max_iterations: int = 100,
    accelerate: bool = True,
    process_group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> SinkhornResult:
    """The label of each sample nearest to the student and the noise-robust teacher, given the classes' total mass.

    Q minimises sum_i KL(q_i || p_i) + KL(q_i || p_N,i) (at ``student_weight`` 1/2) subject to Q 1 = 1 and
    Q^T 1 = ``class_marginal``.

    Args:
        student_logits: (N, C) floating; detached here.
        noise_log_probs: (N, C) floating, log-probabilities of the noise-robust teacher f_N.
        class_marginal: (C,) >= 0, in samples: sum of the imbalance-robust teacher's probabilities over the batch.
        student_weight: Exponent w of the student in the kernel p^w * p_N^(1-w).
        tolerance: See :func:`lt_callbacks.transport.sinkhorn`, as the arguments that follow.
        criterion: ``"total_variation"`` or ``"relative"``.
        max_iterations: Limit of sweeps.
        accelerate: Nesterov momentum.
        process_group: Solve over all its ranks.
        backend: Solver.

    Returns:
        :class:`~lt_callbacks.transport.SinkhornResult`; ``plan`` (N, C) holds the proxy labels.

    Raises:
        ValueError: Shapes disagree or a setting is out of range.

    Gradient: none; proxy labels are constants of the step.
    Reference: D-SINK, arXiv 2510.08179, Eq. 3 and 4.
    """
    return sinkhorn(
        log_kernel(student_logits, noise_log_probs, student_weight=student_weight),
        class_marginal,
        tolerance=tolerance,
        criterion=criterion,
        max_iterations=max_iterations,
        accelerate=accelerate,
        process_group=process_group,
        backend=backend,
    )


def proxy_label_loss(logits: Tensor, proxy_labels: Tensor) -> Tensor:
    """Mean over the samples of KL(q_i || softmax(z_i)); its gradient is (softmax(z) - Q) / N.

    Args:
        logits: (N, C) floating, of the model that is trained.
        proxy_labels: (N, C) >= 0; detached here. A row of zeros takes no part but counts in N.

    Returns:
        Scalar float32 (float64 for float64 logits); 0 for an empty batch.

    Raises:
        ValueError: The shapes differ.
    """
    if logits.shape != proxy_labels.shape or logits.ndim != 2:
        raise ValueError(
            f"`logits` and `proxy_labels` must have one shape (N, C); got {tuple(logits.shape)} and "
            f"{tuple(proxy_labels.shape)}."
        )
    with torch.autocast(logits.device.type, enabled=False):
        log_probs = at_least_float32(logits).log_softmax(dim=1)
        labels = proxy_labels.detach().to(log_probs.dtype)
        # A class that the label rules out adds nothing, also where the model rules it out: 0 * log 0 is 0 here.
        cross_entropy = -(labels * log_probs).masked_fill(labels == 0, 0.0).sum()
        divergence = torch.xlogy(labels, labels).sum() + cross_entropy
        return divergence / max(len(logits), 1)


def at_least_float32(values: Tensor) -> Tensor:
    """``values`` in the precision that log-probabilities are computed in."""
    return values if values.dtype == torch.float64 else values.float()
