# Legend: N samples, C classes.
from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from lt_callbacks.transport.fused import launch_on, packed_rows, require_triton, tile
from lt_callbacks.transport.result import SinkhornResult


def solve_fused(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
) -> SinkhornResult:
    """Scale a kernel by the sweeps in the log domain, in one launch on a GPU that stops at the tolerance by itself.

    Args:
        log_kernel: (N, C) float32 or half precision, of a shape that :func:`~lt_callbacks.transport.fused.fits`.
        class_marginal: (C,) >= 0; proportions.
        tolerance: Error at which the sweeps stop.
        relative: The criterion.
        max_iterations: Limit of sweeps.
        accelerate: Nesterov momentum with gradient restart.

    Results agree with those of :func:`lt_callbacks.transport.log_domain.solve_in_log_domain` to rounding and are the
    same to the last bit each time. No host synchronisation; may be captured in a CUDA graph.
    """
    num_rows, num_classes = log_kernel.shape
    shape = tile(num_rows, num_classes)
    log_kernel = packed_rows(log_kernel)
    plan = log_kernel.new_empty(num_rows, num_classes, dtype=torch.float32)
    log_class_scaling = plan.new_empty(num_classes)
    marginal_error = plan.new_empty(())
    iterations = plan.new_empty((), dtype=torch.int64)
    with launch_on(plan.device):
        _kernel()[(1,)](
            log_kernel,
            class_marginal.detach().contiguous(),
            plan,
            log_class_scaling,
            marginal_error,
            iterations,
            num_rows,
            num_classes,
            log_kernel.stride(0),
            float(tolerance),
            max_iterations,
            ROWS=shape.rows,
            GROUPS=shape.groups,
            WIDTH=shape.width,
            RELATIVE=relative,
            ACCELERATE=accelerate,
            num_warps=shape.num_warps,
        )
    return SinkhornResult(plan, log_class_scaling, marginal_error, iterations)


@functools.cache
def _kernel() -> Any:
    """The Triton function, loaded by the first launch."""
    require_triton()
    from lt_callbacks.transport.fused_kernels import transport_kernel

    return transport_kernel
