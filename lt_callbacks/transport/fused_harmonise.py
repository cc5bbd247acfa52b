# Legend: N samples, C classes.
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lt_callbacks.transport.fused import launch_on, packed_rows, require_triton, tile


class Harmonised(NamedTuple):
    """Proxy labels of the own rows with their divergence and its gradient; float32, nothing carries a gradient.

    Attributes:
        labels: (N_own, C) proxy labels; zeros where one of the three models was not finite.
        gradient: (N_own, C) of ``divergence`` by the student's logits.
        divergence: 0-d. Mean over the own rows of KL(label || student).
        marginal_error: 0-d, see :class:`lt_callbacks.transport.SinkhornResult`.
        iterations: 0-d int64.
        is_nonfinite: (N_own, 2) bool: where the noise-robust and the imbalance-robust teacher was not finite.
        num_nonfinite: (2,) int64, over all rows.
    """

    labels: Tensor
    gradient: Tensor
    divergence: Tensor
    marginal_error: Tensor
    iterations: Tensor
    is_nonfinite: Tensor
    num_nonfinite: Tensor


def harmonise_fused(
    student_logits: Tensor,
    noise: Tensor,
    imbalance: Tensor,
    *,
    student_weight: float,
    tolerance: float,
    max_iterations: int,
    class_marginal: Tensor | None = None,
    own: slice | None = None,
) -> Harmonised:
    """Proxy labels of three models' predictions, their divergence from the student and its gradient, in one launch.

    Rows are masked, and the labels found, as :class:`lt_callbacks.dsink.ProxyLabeler` does it; total variation and
    Nesterov momentum.

    Args:
        student_logits: (N, C) float32 or half precision, of a shape that :func:`lt_callbacks.transport.fused.fits`; any
            row stride, as the next two.
        noise: (N, C) log-probabilities of the noise-robust teacher up to a constant in each row, such as logits.
        imbalance: (N, C) log-probabilities of the imbalance-robust teacher, up to the same.
        student_weight: w of the kernel p^w * p_N^(1-w).
        tolerance: Total variation at which the sweeps stop.
        max_iterations: Limit of sweeps.
        class_marginal: (C,) >= 0; proportions. None: the sum of the imbalance-robust teacher's probabilities.
        own: The rows to answer for; None: all. The others take part in the transport.

    No host synchronisation; may be captured in a CUDA graph.
    """
    num_rows, num_classes = student_logits.shape
    start, stop = (0, num_rows) if own is None else (own.start, own.stop)
    shape = tile(num_rows, num_classes)
    student, noise, imbalance = (packed_rows(rows) for rows in (student_logits, noise, imbalance))
    labels = student.new_empty(stop - start, num_classes, dtype=torch.float32)
    numbers, counts = labels.new_empty(2), labels.new_empty(3, dtype=torch.int64)
    found = Harmonised(
        labels=labels,
        gradient=torch.empty_like(labels),
        divergence=numbers[0],
        marginal_error=numbers[1],
        iterations=counts[2],
        is_nonfinite=labels.new_empty(stop - start, 2, dtype=torch.bool),
        num_nonfinite=counts[:2],
    )
    with launch_on(labels.device):
        _kernel()[(1,)](
            student,
            noise,
            imbalance,
            # Without one the pointer is not followed.
            numbers if class_marginal is None else class_marginal.detach().contiguous(),
            found.labels,
            found.gradient,
            numbers,
            found.is_nonfinite.view(torch.uint8),
            counts,
            num_rows,
            num_classes,
            student.stride(0),
            noise.stride(0),
            imbalance.stride(0),
            start,
            stop,
            float(student_weight),
            1 / max(stop - start, 1),
            float(tolerance),
            max_iterations,
            ROWS=shape.rows,
            GROUPS=shape.groups,
            WIDTH=shape.width,
            GIVEN_MARGINAL=class_marginal is not None,
            num_warps=shape.num_warps,
        )
    return found


@functools.cache
def _kernel() -> Any:
    """The Triton function, loaded by the first launch."""
    require_triton()
    from lt_callbacks.transport.fused_kernels import harmonise_kernel

    return harmonise_kernel
