# Legend: N samples, C classes.
"""Kernels and class marginals as they are given: their kinds, and any scale of the marginal brought into range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._tensors import check_floating, kind_of
from lt_callbacks.transport.exponentiated_kernel import ones

#: Sums of a marginal between which no entry that matters has lost digits or overflows, in the narrowest dtype.
LEAST_TOTAL, GREATEST_TOTAL = 1e-20, 1e30


def check_problem(log_kernel: Any, class_marginal: Any) -> None:
    """Refuse a kernel and a marginal of a wrong kind, or that do not belong together; nothing is read.

    Args:
        log_kernel: (N, C) floating.
        class_marginal: (C,) real.

    Raises:
        TypeError: One is no tensor, or of another dtype.
        ValueError: Shapes or devices disagree.
    """
    way_out = "Pass log-probabilities or logits." if isinstance(log_kernel, Tensor) else ""
    check_floating("log_kernel", log_kernel, way_out=way_out)
    if not isinstance(class_marginal, Tensor) or class_marginal.is_complex() or class_marginal.dtype == torch.bool:
        raise ArgumentTypeError(
            "class_marginal",
            rule="be a tensor of real numbers",
            got=kind_of(class_marginal),
            way_out="Pass `torch.as_tensor(...)` of expected counts.",
        )
    if log_kernel.ndim != 2:
        raise ArgumentValueError("log_kernel", rule="have shape (N, C), classes last", got=str(tuple(log_kernel.shape)))
    if class_marginal.shape != log_kernel.shape[1:]:
        raise ArgumentValueError(
            "class_marginal",
            rule=f"have shape ({log_kernel.shape[1]},), one entry a column of `log_kernel`",
            got=str(tuple(class_marginal.shape)),
            way_out="If `log_kernel` has its classes first, pass its transpose.",
        )
    if class_marginal.device != log_kernel.device:
        raise ArgumentValueError(
            "class_marginal",
            rule=f"be on the device of `log_kernel`, {log_kernel.device}",
            got=str(class_marginal.device),
            way_out="Pass `class_marginal.to(log_kernel.device)`.",
        )


def in_range_of(dtype: torch.dtype, class_marginal: Tensor, *, process_group: dist.ProcessGroup | None) -> Tensor:
    """A class marginal in ``dtype``, its proportions kept where its scale would not fit; nothing is read.

    Args:
        dtype: float32 or float64.
        class_marginal: (C,) real; with a ``process_group`` this rank's contribution, in one dtype on all ranks.
        process_group: Its ranks' contributions are added later, so that all are brought into one range.
    """
    if class_marginal.dtype != torch.float64 or dtype == torch.float64:
        # Narrower floats and integers all fit.
        return class_marginal.to(dtype)
    scale = class_marginal.amax() if len(class_marginal) else class_marginal.new_zeros(())
    if process_group is not None:
        dist.all_reduce(scale, op=dist.ReduceOp.MAX, group=process_group)
    # What is not positive or not finite is left to those who may look at it.
    return (class_marginal / torch.where((scale > 0) & scale.isfinite(), scale, 1.0)).to(dtype)


def scaled(marginal: np.ndarray[Any, Any], num_rows: int) -> np.ndarray[Any, Any] | None:
    """A class marginal (C,) on the host, float32 or float64, that sums to ``num_rows``; None where it is none."""
    total = float(marginal.dot(ones(len(marginal), marginal.dtype)))
    if LEAST_TOTAL < total < GREATEST_TOTAL:
        return marginal * (num_rows / total)
    greatest = float(marginal.max()) if len(marginal) else 0.0
    if not 0 < greatest < math.inf:
        return None
    shares = marginal.astype(np.float64) / greatest
    total = float(shares.sum())
    return (shares * (num_rows / total)).astype(marginal.dtype) if total > 0 else None


def summing_to(mass: Tensor, class_marginal: Tensor) -> Tensor:
    """A class marginal (C,) at any scale, rescaled to sum to 0-d ``mass``; zeros stay zeros, and nothing is read."""
    greatest = class_marginal.amax() if len(class_marginal) else mass
    shares = class_marginal / torch.where(greatest > 0, greatest, 1.0)
    return shares * (mass / torch.where(greatest > 0, shares.sum(), 1.0))
