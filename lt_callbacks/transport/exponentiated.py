# Legend: N samples, C classes, L log kernel, M its exponential, u and v class and row scalings, b class marginal.
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

# Sums of rows and columns between which no entry that matters is a subnormal float32: those have lost digits.
LEAST_ROW_SUM, LEAST_COLUMN_SUM = 1e-15, 1e-20
#: Kernels of fewer entries are scaled by numpy, whose calls start sooner; torch's loops are faster.
ENTRIES_TO_SCALE = 4096
#: Likewise of their exponential.
ENTRIES_TO_EXPONENTIATE = 20_000
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
        relative: The criterion.
        v: (N,) of the scaling that was evaluated last.
        t: (C,) likewise.
    """

    log_kernel: Tensor
    array: Array
    log_base: Tensor | None
    b: Array
    relative: bool
    v: Array
    t: Array

    def evaluate(self, u: Array) -> None:
        """Set ``v`` and ``t`` for the class scaling ``u``."""
        self.array.dot(u, self.v)
        np.reciprocal(self.v, self.v)
        self.array.T.dot(self.v, self.t)

    def lack(self, u: Array) -> tuple[Array, float]:
        """(C,) b - c of the scaling evaluated last, and its error in the unit of the criterion."""
        columns = np.multiply(self.t, u)
        return np.subtract(self.b, columns), self.error(columns)

    def error(self, columns: Array) -> float:
        """Of column sums (C,)."""
        if self.relative:
            share = np.divide(columns, self.b)
            return max(greatest(share) - 1.0, 1.0 - least(share))
        lack = np.subtract(columns, self.b)
        return float(np.abs(lack, lack).dot(ones(len(lack), lack.dtype))) / len(self.v)

    def is_narrow(self, u: Array) -> bool:
        """Whether the range of a scaling costs no digits."""
        return greatest(u) < GREATEST_RANGE * least(u)

    def absorb(self, u: Array) -> bool:
        """Take the exponential anew at the scaling ``u``, which is 1 from then on; whether the sums are in range."""
        self.log_base = self.log_scaling(u)
        self.array = torch.softmax(self.log_kernel + self.log_base, dim=1).numpy()
        self.evaluate(np.ones_like(u))
        return least(self.t) > LEAST_COLUMN_SUM

    def plan(self, u: Array) -> Tensor:
        """(N, C) of the scaling evaluated last; M is overwritten."""
        plan = torch.from_numpy(self.array)
        if self.array.size < ENTRIES_TO_SCALE:
            np.multiply(self.array, u, out=self.array)
            np.multiply(self.array, self.v[:, None], out=self.array)
            return plan
        return plan.mul_(torch.from_numpy(u)).mul_(torch.from_numpy(self.v[:, None]))

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
    v = array.dot(ones(len(b), b.dtype))
    if not least(v) > LEAST_ROW_SUM:
        return None
    np.reciprocal(v, v)
    return Exponentiated(log_kernel, array, None, b, relative, v, array.T.dot(v))


def exponentiate_at_scale(log_kernel: Tensor, b: Array, *, relative: bool) -> Exponentiated | None:
    """The same after one sweep in the log domain, in which no scale of the logits matters.

    None also where a row or a class allows nothing.
    """
    base = log_domain_base(log_kernel, b)
    array = torch.softmax(log_kernel + base, dim=1).numpy()
    v = np.ones(len(array), array.dtype)
    t = array.T.dot(v)
    if not least(t) > LEAST_COLUMN_SUM:
        return None
    return Exponentiated(log_kernel, array, base, b, relative, v, t)


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


def greatest(values: Array) -> float:
    """Of a vector; NaN where one is. A fifth of the time of a reduction, which has to be set up."""
    return float(values.item(values.argmax()))


def least(values: Array) -> float:
    """Likewise."""
    return float(values.item(values.argmin()))


@lru_cache(maxsize=64)
def ones(length: int, dtype: np.dtype[Any]) -> Array:
    """(length,) of 1, the same array in every call, which cannot be written."""
    found = np.ones(length, dtype)
    found.flags.writeable = False
    return found


def log_domain_base(log_kernel: Tensor, b: Array) -> Tensor:
    """(C,) log class scaling of one sweep in the log domain, which gives every class its mass at any scale."""
    row_lse = log_kernel.logsumexp(dim=1, keepdim=True)
    return torch.from_numpy(b).log() - (log_kernel - row_lse).logsumexp(dim=0)
