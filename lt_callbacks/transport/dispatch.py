from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.transport import fused
from lt_callbacks.transport.column_sums import ColumnSums, LocalSums
from lt_callbacks.transport.exponentiated import solve_exponentiated
from lt_callbacks.transport.fused_transport import solve_fused
from lt_callbacks.transport.log_domain import solve_in_log_domain
from lt_callbacks.transport.marginal import scaled
from lt_callbacks.transport.result import SinkhornResult

_ALL_HERE = LocalSums()


def solve_transport(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    num_rows: int,
    tolerance: float,
    max_iterations: int,
    relative: bool = False,
    accelerate: bool = True,
    sums: ColumnSums = _ALL_HERE,
    backend: str = "auto",
) -> SinkhornResult:
    """Solve a transport problem of which the rows are held and the whole class marginal is known.

    This is where a solver is chosen, by device, size, backend and whether all rows are here: the fused kernel on a GPU
    for what fits into one launch, the exponentiated kernel on a CPU (plain or compiled), and sweeps in the log domain
    for all that these leave.

    Args:
        log_kernel: (N, C) float32 or float64: all rows, or this rank's where ``sums`` adds over ranks.
        class_marginal: (C,) same dtype, of the whole problem.
        num_rows: Of the whole problem.
        tolerance: See :func:`lt_callbacks.transport.sinkhorn`, as ``max_iterations`` and ``accelerate``.
        max_iterations: Limit of sweeps.
        relative: Whether the criterion is the largest relative error; otherwise it is the total variation.
        accelerate: Nesterov momentum or Newton steps.
        sums: How sums over the held rows become sums over all of them.
        backend: See :func:`lt_callbacks.transport.sinkhorn`.

    Raises:
        ValueError: ``class_marginal`` is not one; on the CPU only, and on all ranks alike.
    """
    settings: dict[str, Any] = {
        "tolerance": tolerance,
        "relative": relative,
        "max_iterations": max_iterations,
        "accelerate": accelerate,
    }
    on_cpu = log_kernel.is_cpu
    if sums.holds_all_rows:
        if (backend == "triton" or (backend == "auto" and not on_cpu)) and fits_fused(log_kernel):
            return solve_fused(log_kernel, class_marginal, **settings)
        if on_cpu and tolerance > 0 and num_rows:
            found = _solve_by_exponential(log_kernel, class_marginal.numpy(), backend, settings)
            if found is not None:
                return found
    if on_cpu:
        # Not before: a marginal that is none leaves the way above without a result, so that a good one is not read.
        _check_marginal(class_marginal, num_rows)
    return solve_in_log_domain(log_kernel, class_marginal, stop_early=on_cpu and tolerance > 0, sums=sums, **settings)


def fits_fused(log_kernel: Tensor) -> bool:
    """Whether the fused kernel runs on the device of ``log_kernel`` (N, C), in its dtype and at its size."""
    return log_kernel.dtype != torch.float64 and fused.fits(*log_kernel.shape) and fused.is_available(log_kernel.device)


def _solve_by_exponential(
    log_kernel: Tensor, marginal: np.ndarray[Any, Any], backend: str, settings: dict[str, Any]
) -> SinkhornResult | None:
    """The plan by the exponential of the kernel; None where that is not the way, or for a marginal that is none.

    A class marginal of 0 or below 0 gives a scaling that is no exponential, which is found in the end.
    """
    b = scaled(marginal, log_kernel.shape[0])
    if b is None:
        return None
    if backend == "numba":
        from lt_callbacks.transport.compiled import solve_compiled

        return solve_compiled(log_kernel.contiguous(), b, **settings)
    return solve_exponentiated(log_kernel.contiguous(), b, **settings)


def _check_marginal(marginal: Tensor, num_rows: int) -> None:
    if not bool(torch.isfinite(marginal).all()) or bool((marginal < 0).any()):
        rule, got = "be finite and >= 0", str(marginal.tolist())
    elif num_rows and not bool((marginal > 0).any()):
        rule, got = "have a positive sum", "zeros only"
    else:
        return
    raise ArgumentValueError("class_marginal", rule=rule, got=got, way_out="Pass expected counts.")
