# Legend: N samples, C classes, R ranks.
from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor

from lt_callbacks.dsink.divergence import KnownDivergence, proxy_label_loss
from lt_callbacks.dsink.log_kernel import log_kernel
from lt_callbacks.transport import SinkhornResult, sinkhorn


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
    """Of all labels with the given class totals, those nearest to the student and the noise-robust teacher.

    It is the way that a step of D-SINK takes from predictions to labels, for a class marginal that is known:
    :class:`ProxyLabeler` makes the same kernel and hands it to the same solvers.

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
        TypeError: An argument is no floating tensor.
        ValueError: Shapes or devices disagree, or a setting is out of range.

    Gradient: none; proxy labels are constants of the step.
    Reference: D-SINK, arXiv 2510.08179, Eq. 3 and 4.

    Example:
        Student and teacher do not know; the totals ask for three samples of the first class and one of the second:

        >>> import torch
        >>> logits = log_probs = torch.full((4, 2), 0.5).log()
        >>> proxy_labels(logits, log_probs, torch.tensor([3.0, 1.0])).plan[0]
        tensor([0.7500, 0.2500])
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


@dataclass(frozen=True)
class ProxyLabels:
    """Proxy labels of one step and what there is to say about them; everything is on the device and detached.

    Attributes:
        labels: (N, C) Q of this rank's samples; zeros where one of the three models was not finite.
        loss_scale: Factor that turns this rank's mean KL into its part of the mean over all ranks, times the number
            of ranks (data-parallel averaging divides by it): R * N_rank / N.
        marginal_error: 0-d, see :class:`lt_callbacks.transport.SinkhornResult`.
        iterations: 0-d int64.
        num_nonfinite: (2,) int64, over all ranks: samples where the noise-robust and the imbalance-robust teacher
            was not finite.
        is_nonfinite: (N, 2) bool, this rank's samples.
        known: Where it was found together with the labels: their divergence from the student.
    """

    labels: Tensor
    loss_scale: float
    marginal_error: Tensor
    iterations: Tensor
    num_nonfinite: Tensor
    is_nonfinite: Tensor
    known: KnownDivergence | None = None

    def divergence(self, logits: Tensor) -> Tensor:
        """Mean KL divergence of the labels from the student's ``logits`` (N, C), with its graph: `proxy_label_loss`.

        Where the labels were made on a GPU and of these very ``logits`` it is known already.
        """
        if self.known is not None and self.known.is_of(logits):
            return self.known.attached_to(logits, self.labels)
        return proxy_label_loss(logits, self.labels)
