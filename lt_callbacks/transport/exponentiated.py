# Legend: N samples, C classes, L log kernel, M its exponential, u and v class and row scalings, b class marginal.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

# Sums of rows and columns between which no entry that matters is a subnormal float32: those have lost digits.
LEAST_ROW_SUM, LEAST_COLUMN_SUM = 1e-15, 1e-20
#: Kernels of fewer entries are scaled by numpy, whose calls start sooner; torch's loops are faster.
ENTRIES_TO_SCALE = 16384
#: Likewise of their exponential.
ENTRIES_TO_EXPONENTIATE = 4096
LOG2_E = math.log2(math.e)
# A number would be made a tensor in every call.
_LOG2_E = torch.tensor(LOG2_E, dtype=torch.float64)
#: Ratio of the greatest to the least class scaling up to which the same holds for the scaled kernel.
GREATEST_RANGE = 1e20


@dataclass(slots=True)
class Exponentiated:
    """A kernel whose exponential is taken once, so that a sweep is two products of a matrix and a vector.

    ``plan = diag(v) M diag(u)`` with ``v = 1 / (M u)``: rows are exact, and the column sums of the plan are ``u * t``,
    ``t = M^T v``. All arrays are on the CPU and have one dtype, float32 or float64.

    Attributes:
        log_kernel: (N, C) L.
        array: (N, C) M.
        log_base: (C,) g0 where M = exp(L + g0 + row constants); None: zero.
        b: (C,) > 0, sums to N.
        b_inverse: (C,) where the criterion is relative, else None.
        v: (N,) of the scaling that was evaluated last.
        t: (C,) likewise.
    """

    log_kernel: Tensor
    array: Array
    log_base: Tensor | None
    b: Array
    b_inverse: Array | None
    v: Array
    t: Array

    def evaluate(self, u: Array) -> None:
        """Set ``v`` and ``t`` for the class scaling ``u``."""
        np.dot(self.array, u, out=self.v)
        np.reciprocal(self.v, out=self.v)
        np.dot(self.array.T, self.v, out=self.t)

    def lack(self, u: Array) -> tuple[Array, float]:
        """(C,) b - c of the scaling evaluated last, and its error in the unit of the criterion."""
        lack = np.multiply(self.t, u)
        np.subtract(self.b, lack, out=lack)
        return lack, self.error(lack)

    def error(self, lack: Array) -> float:
        """Of (C,) b - c."""
        if self.b_inverse is None:
            return float(np.add.reduce(np.abs(lack))) / len(self.v)
        return float(np.maximum.reduce(np.abs(lack * self.b_inverse)))

    def is_narrow(self, u: Array) -> bool:
        """Whether the range of a scaling costs no digits."""
        return float(np.maximum.reduce(u)) < GREATEST_RANGE * float(np.minimum.reduce(u))

    def absorb(self, u: Array) -> bool:
        """Take the exponential anew at the scaling ``u``, which is 1 from then on; whether the sums are in range."""
        self.log_base = self.log_scaling(u)
        self.array = torch.softmax(self.log_kernel + self.log_base, dim=1).numpy()
        self.evaluate(np.ones_like(u))
        return float(np.minimum.reduce(self.t)) > LEAST_COLUMN_SUM

    def plan(self, u: Array) -> Tensor:
        """(N, C) of the scaling evaluated last; M is overwritten."""
        plan = torch.from_numpy(self.array)
        if self.array.size < ENTRIES_TO_SCALE:
            np.multiply(self.array, u, out=self.array)
            np.multiply(self.array, self.v[:, None], out=self.array)
            return plan
        return plan.mul_(torch.from_numpy(u)).mul_(torch.from_numpy(self.v)[:, None])

    def log_scaling(self, u: Array) -> Tensor:
        """(C,) log class scaling with respect to the log kernel."""
        scaling = torch.from_numpy(np.log(u))
        return scaling if self.log_base is None else scaling.add_(self.log_base)


def exponentiate(log_kernel: Tensor, b: Array, *, relative: bool) -> Exponentiated | None:
    """The exponential of a kernel as it is; None where a row under- or overflows.

    A column that underflows shows in the range of the scaling, and one of NaN in the error.

    Args:
        log_kernel: (N, C) float32 or float64, contiguous, N > 0, C > 0.
        b: (C,) > 0, same dtype, sums to N.
        relative: The criterion.
    """
    array = exponential(log_kernel)
    v = np.dot(array, np.ones_like(b))
    if not float(np.minimum.reduce(v)) > LEAST_ROW_SUM:
        return None
    np.reciprocal(v, out=v)
    return Exponentiated(log_kernel, array, None, b, 1.0 / b if relative else None, v, np.dot(array.T, v))


def exponentiate_at_scale(log_kernel: Tensor, b: Array, *, relative: bool) -> Exponentiated | None:
    """The same after one sweep in the log domain, in which no scale of the logits matters.

    None also where a row or a class allows nothing.
    """
    base = log_domain_base(log_kernel, b)
    array = torch.softmax(log_kernel + base, dim=1).numpy()
    v = np.ones(len(array), array.dtype)
    t = np.dot(array.T, v)
    if not float(np.minimum.reduce(t)) > LEAST_COLUMN_SUM:
        return None
    return Exponentiated(log_kernel, array, base, b, 1.0 / b if relative else None, v, t)


def exponential(values: Tensor) -> Array:
    """A new array of exp(values); values float32 or float64, contiguous."""
    if values.dtype == torch.float64:
        return values.exp().numpy()
    # Half the time of exp; the rounded product changes a weight e^-50 by 3e-6 of itself.
    if values.numel() < ENTRIES_TO_EXPONENTIATE:
        array = values.numpy() * np.float32(LOG2_E)
        torch.from_numpy(array).exp2_()
        return array
    return torch.mul(values, _LOG2_E).exp2_().numpy()


def log_domain_base(log_kernel: Tensor, b: Array) -> Tensor:
    """(C,) log class scaling of one sweep in the log domain, which gives every class its mass at any scale."""
    row_lse = log_kernel.logsumexp(dim=1, keepdim=True)
    return torch.from_numpy(b).log() - (log_kernel - row_lse).logsumexp(dim=0)
