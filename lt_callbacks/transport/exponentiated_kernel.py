# Legend: N samples, C classes, L log kernel, M its exponential, u and v class and row scalings, b class marginal,
# t = M^T v, c = t * u column sums of the plan.
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

# Sums of rows and columns between which no entry that matters is a subnormal float32: those have lost digits.
LEAST_ROW_SUM, LEAST_COLUMN_SUM = 1e-15, 1e-20
#: Ratio of the greatest to the least class scaling up to which the same holds for the scaled kernel.
GREATEST_RANGE = 1e20
#: Kernels of fewer entries are scaled by numpy, whose calls start sooner; torch's loops are faster.
ENTRIES_TO_SCALE = 4096
#: Kernels of fewer entries are multiplied by log2(e) by numpy before their exponential, for the same reason.
ENTRIES_TO_EXPONENTIATE = 20_000
LOG2_E = math.log2(math.e)
# A number would be made a tensor in every call.
_LOG2_E = torch.tensor(LOG2_E, dtype=torch.float64)


@dataclass(slots=True)
class ExponentiatedKernel:
    """A kernel whose exponential is taken once, so that a sweep is two products of a matrix and a vector.

    ``plan = diag(v) M diag(u)`` with ``v = 1 / (M u)``: rows are exact, and the column sums of the plan are ``u * t``,
    ``t = M^T v``. All arrays are on the CPU and have one dtype, float32 or float64.

    Attributes:
        log_kernel: (N, C) L.
        array: (N, C) M.
        m_dot: (C,) u and where to put it -> (N,) M u.
        mt_dot: (N,) v and where to put it -> (C,) M^T v.
        log_base: (C,) g0 where M = exp(L + g0 + row constants); None: zero.
        b: (C,) > 0, sums to N.
        relative: Whether the error is the largest relative one; otherwise it is the total variation.
        v: (N,) row scaling that belongs to the class scaling evaluated last.
        t: (C,) column sums over the class scaling evaluated last.
    """

    log_kernel: Tensor
    array: Array
    # Bound once: to look them up in every sweep would take a tenth of a small problem's time.
    m_dot: Callable[..., Array]
    mt_dot: Callable[..., Array]
    log_base: Tensor | None
    b: Array
    relative: bool
    v: Array
    t: Array

    def evaluate(self, u: Array) -> None:
        """Set ``v`` and ``t`` to those of the class scaling ``u``."""
        self.m_dot(u, self.v)
        np.reciprocal(self.v, self.v)
        self.mt_dot(self.v, self.t)

    def sweep(self, u: Array, times: int) -> None:
        """Make so many plain sweeps u <- b / t from the scaling evaluated last on; ``u`` is evaluated in the end."""
        # A sweep of a small problem costs little more than the calls it is made of: the loop looks nothing up.
        m_dot, mt_dot, b, v, t = self.m_dot, self.mt_dot, self.b, self.v, self.t
        divide, reciprocal = np.divide, np.reciprocal
        for _ in range(times):
            divide(b, t, u)
            m_dot(u, v)
            reciprocal(v, v)
            mt_dot(v, t)

    def column_sums(self, u: Array) -> Array:
        """(C,) c of the plan for the scaling evaluated last, which is ``u``."""
        return np.multiply(self.t, u)

    def error(self, columns: Array) -> float:
        """Distance of the column sums (C,) from the class marginal, in the unit of the criterion; maybe NaN."""
        if self.relative:
            share = np.divide(columns, self.b)
            return max(greatest(share) - 1.0, 1.0 - least(share))
        difference = np.subtract(columns, self.b)
        return float(np.abs(difference, difference).dot(ones(len(difference), difference.dtype))) / len(self.v)

    def residual(self, u: Array) -> tuple[Array, float]:
        """(C,) b - c of the plan for the scaling evaluated last, which is ``u``, and its error."""
        columns = self.column_sums(u)
        return np.subtract(self.b, columns), self.error(columns)

    def is_narrow(self, u: Array) -> bool:
        """Whether the range of a class scaling is so small that it costs no digits."""
        return greatest(u) < GREATEST_RANGE * least(u)

    def absorb(self, u: Array) -> bool:
        """Take the exponential anew at the scaling ``u``, which is 1 from then on; whether the sums are in range."""
        self.log_base = self.log_scaling(u)
        self.array = torch.softmax(self.log_kernel + self.log_base, dim=1).numpy()
        self.m_dot, self.mt_dot = self.array.dot, self.array.T.dot
        self.evaluate(np.ones_like(u))
        return least(self.t) > LEAST_COLUMN_SUM

    def into_plan(self, u: Array) -> Tensor:
        """(N, C) plan for the scaling evaluated last, which is ``u``, in the memory of M, which is gone then."""
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


def exponentiate(log_kernel: Tensor, b: Array, *, relative: bool) -> ExponentiatedKernel | None:
    """The exponential of a kernel as it is, evaluated at the class scaling 1; None where a row under- or overflows.

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
    mt_dot = array.T.dot
    return ExponentiatedKernel(log_kernel, array, array.dot, mt_dot, None, b, relative, v, mt_dot(v))


def exponentiate_after_a_sweep(log_kernel: Tensor, b: Array, *, relative: bool) -> ExponentiatedKernel | None:
    """The exponential of a kernel after one sweep in the log domain, in which no scale of the logits matters.

    None where a row or a class allows nothing. Arguments are those of :func:`exponentiate`.
    """
    base = log_scaling_of_a_sweep(log_kernel, b)
    array = torch.softmax(log_kernel + base, dim=1).numpy()
    mt_dot = array.T.dot
    v = np.ones(len(array), array.dtype)
    t = mt_dot(v)
    if not least(t) > LEAST_COLUMN_SUM:
        return None
    return ExponentiatedKernel(log_kernel, array, array.dot, mt_dot, base, b, relative, v, t)


def exponential(values: Tensor) -> Array:
    """A new array of exp(values); values float32 or float64, contiguous."""
    if values.dtype == torch.float64:
        return values.exp().numpy()
    # 2^x takes half the time of e^x; the rounded product changes a weight e^-50 by 3e-6 of itself.
    if values.numel() < ENTRIES_TO_EXPONENTIATE:
        array = values.numpy() * np.float32(LOG2_E)
        torch.from_numpy(array).exp2_()
        return array
    return torch.mul(values, _LOG2_E).exp2_().numpy()


def log_scaling_of_a_sweep(log_kernel: Tensor, b: Array) -> Tensor:
    """(C,) log class scaling of one sweep in the log domain, which gives every class its mass at any scale."""
    row_lse = log_kernel.logsumexp(dim=1, keepdim=True)
    return torch.from_numpy(b).log() - (log_kernel - row_lse).logsumexp(dim=0)


def greatest(values: Array) -> float:
    """The greatest entry of a vector; NaN where one is."""
    # A fifth of the time of a reduction, which has to be set up.
    return float(values.item(values.argmax()))


def least(values: Array) -> float:
    """The least entry of a vector; NaN where one is."""
    return float(values.item(values.argmin()))


@lru_cache(maxsize=64)
def ones(length: int, dtype: np.dtype[Any]) -> Array:
    """(length,) of 1, the same array in every call, which cannot be written."""
    found = np.ones(length, dtype)
    found.flags.writeable = False
    return found
