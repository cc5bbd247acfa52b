# Legend: N samples, C classes, M exponentiated kernel, u and v class and row scalings, b class marginal, t = M^T v.
"""The sweeps of :mod:`lt_callbacks.transport.exponentiated`, compiled by numba; imported on use."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from lt_callbacks.transport.exponentiated_kernel import (
    GREATEST_RANGE,
    LEAST_COLUMN_SUM,
    LEAST_ROW_SUM,
    LOG2_E,
    Array,
    exponential,
    log_scaling_of_a_sweep,
)
from lt_callbacks.transport.result import SinkhornResult

# log2(e), the exponents between which 2^x is normal, and a polynomial for 2^x on [-1/2, 1/2] from x^6 down to 1.
_EXP2 = tuple(
    np.float32(number)
    for number in (
        *(LOG2_E, -126.0, 127.0),
        *(1.5403530e-4, 1.3333558e-3, 9.6181291e-3, 5.5504109e-2, 2.4022651e-1, 6.9314718e-1, 1.0),
    )
)
# How a solve ends: with a plan, with a scaling that the kernel must be taken anew at, or with numbers that are no good.
DONE, WIDE, BAD = 0, 1, 2
#: Up to so many classes the loops run along the samples, so that they are long enough for vector registers.
FEW_CLASSES = 32


def _compile(function: Callable[..., Any]) -> Any:
    """``function`` as machine code, kept on disk where there is a place for it."""
    # Sums may be reordered; NaN and infinity keep their meaning, by which a failed solve is known.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's own can be written
        return numba.njit(**options)(function)


def solve_compiled(
    log_kernel: Tensor, b: Array, *, tolerance: float, relative: bool, max_iterations: int, accelerate: bool
) -> SinkhornResult | None:
    """Scale an exponentiated kernel on a CPU in one call of compiled code: plain sweeps, then momentum.

    Arguments and result are those of :func:`lt_callbacks.transport.exponentiated.solve_exponentiated`; Newton's method
    is left out.
    """
    base: Tensor | None = None
    log_u, sweeps = np.empty_like(b), 0
    # A constant of the code would be float64, and with it all that it touches.
    one = b.dtype.type(1)
    if b.dtype == np.float32:
        matrix = np.empty(log_kernel.shape, b.dtype)
        _exponential(log_kernel.numpy(), matrix, _EXP2)
    else:
        matrix = exponential(log_kernel)
    while True:
        is_fresh = base is None
        settings = (b, relative, tolerance, max_iterations, accelerate, is_fresh, sweeps)
        error, sweeps, state = _scale(matrix, *settings, log_u, one)
        scaling = torch.from_numpy(log_u)
        if state == DONE:
            return SinkhornResult(
                plan=torch.from_numpy(matrix),
                log_class_scaling=scaling if base is None else scaling.add_(base),
                marginal_error=torch.from_numpy(np.array(error, b.dtype)),
                iterations=torch.from_numpy(np.array(sweeps)),
            )
        if state == WIDE:
            base = scaling.clone() if base is None else base + scaling
        elif is_fresh:
            base = log_scaling_of_a_sweep(log_kernel, b)
        else:
            return None
        matrix = torch.softmax(log_kernel + base, dim=1).numpy()


@_compile
def _exponential(rows: Array, found: Array, numbers: Any) -> None:
    """The exponential of float32 numbers, to 1e-6 of itself, in vector registers, which the library's is not.

    0 where it would not be a normal number, NaN where it would not be finite.
    """
    log2_e, least, most, p6, p5, p4, p3, p2, p1, p0 = numbers
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            x = rows[i, j] * log2_e
            inside = min(max(x, least), most)
            whole = np.float32(np.rint(inside))
            f = inside - whole
            value = (((((p6 * f + p5) * f + p4) * f + p3) * f + p2) * f + p1) * f + p0
            power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
            value = value * power if x > least else p0 - p0
            found[i, j] = value if x <= most else x * np.float32(np.nan)


@_compile
def _evaluate_by_class(transposed: Array, u: Array, v: Array, t: Array, one: Any) -> None:
    """Set v = 1 / (M u) and t = M^T v, class by class of the transposed (C, N) matrix."""
    classes, rows = transposed.shape
    for i in range(rows):
        v[i] = 0
    for j in range(classes):
        weight = u[j]
        for i in range(rows):
            v[i] += transposed[j, i] * weight
    for i in range(rows):
        v[i] = one / v[i]
    for j in range(classes):
        total = one - one
        for i in range(rows):
            total += transposed[j, i] * v[i]
        t[j] = total


@_compile
def _evaluate_by_row(array: Array, u: Array, v: Array, t: Array, one: Any) -> None:
    """Set v = 1 / (M u) and t = M^T v, row by row of the (N, C) matrix."""
    rows, classes = array.shape
    for j in range(classes):
        t[j] = 0
    # One read of the matrix a sweep: rows are still in the nearest cache when their columns are added up. Four at a
    # time share the reads of u and the reads and writes of t.
    whole = rows - rows % 4
    for i in range(0, whole, 4):
        row_a, row_b, row_c, row_d = array[i], array[i + 1], array[i + 2], array[i + 3]
        sum_a = sum_b = sum_c = sum_d = one - one
        for j in range(classes):
            weight = u[j]
            sum_a += row_a[j] * weight
            sum_b += row_b[j] * weight
            sum_c += row_c[j] * weight
            sum_d += row_d[j] * weight
        a, b, c, d = one / sum_a, one / sum_b, one / sum_c, one / sum_d
        v[i], v[i + 1], v[i + 2], v[i + 3] = a, b, c, d
        for j in range(classes):
            t[j] += (row_a[j] * a + row_b[j] * b) + (row_c[j] * c + row_d[j] * d)
    for i in range(whole, rows):
        total = one - one
        for j in range(classes):
            total += array[i, j] * u[j]
        weight = one / total
        v[i] = weight
        for j in range(classes):
            t[j] += array[i, j] * weight


@_compile
def _evaluate(matrix: Array, by_class: bool, u: Array, v: Array, t: Array, one: Any) -> None:
    """Set v = 1 / (M u) and t = M^T v; ``matrix`` is transposed where the loops run by class."""
    if by_class:
        _evaluate_by_class(matrix, u, v, t, one)
    else:
        _evaluate_by_row(matrix, u, v, t, one)


@_compile
def _scale(
    array: Array,
    b: Array,
    relative: bool,
    tolerance: float,
    max_iterations: int,
    accelerate: bool,
    is_fresh: bool,
    sweeps: int,
    log_u: Array,
    one: Any,
) -> tuple[float, int, int]:
    """Error, sweeps and state of one solve; ``log_u`` is set, and ``array`` becomes the plan if all is done."""
    rows, classes = array.shape
    by_class = classes <= FEW_CLASSES
    matrix = np.ascontiguousarray(array.T) if by_class else array
    u, t, v = np.ones_like(b), np.empty_like(b), np.empty(rows, array.dtype)
    _evaluate(matrix, by_class, u, v, t, one)
    for i in range(rows):
        if not v[i] < one / LEAST_ROW_SUM:
            return np.inf, sweeps, BAD
    for j in range(classes):
        if not t[j] > LEAST_COLUMN_SUM:
            return np.inf, sweeps, BAD
        if is_fresh:
            u[j] = b[j] / t[j]
    error, sweeps = _sweep(matrix, by_class, b, relative, tolerance, max_iterations, accelerate, sweeps, u, v, t, one)
    if not error < np.inf:
        return error, sweeps, BAD
    for j in range(classes):
        log_u[j] = math.log(u[j])
    if not _is_narrow(u):
        # The point that was reached is looked at again, with all its digits.
        return error, min(sweeps, max_iterations - 1), WIDE
    for i in range(rows):
        for j in range(classes):
            array[i, j] *= u[j] * v[i]
    return error, sweeps, DONE


@_compile
def _error(b: Array, u: Array, t: Array, rows: int, relative: bool) -> float:
    """Distance of the column sums t * u from b, in the unit of the criterion; NaN where one is."""
    error = 0.0
    for j in range(len(b)):
        deviation = abs(b[j] - t[j] * u[j])
        if relative:
            deviation /= b[j]
            # A comparison with NaN is false, which must not pass for a small error.
            error = error if deviation <= error else deviation
        else:
            error += deviation
    return error if relative else error / rows


@_compile
def _is_narrow(u: Array) -> bool:
    """Whether the range of a class scaling is so small that it costs no digits."""
    return u.max() < GREATEST_RANGE * u.min()


@_compile
def _sweep(
    matrix: Array,
    by_class: bool,
    b: Array,
    relative: bool,
    tolerance: float,
    max_iterations: int,
    accelerate: bool,
    sweeps: int,
    u: Array,
    v: Array,
    t: Array,
    one: Any,
) -> tuple[float, int]:
    """Plain sweeps, then Nesterov's momentum on g = log u if more than a few are left; u, v and t are set."""
    classes = len(b)
    g = np.empty_like(u)
    step = np.empty_like(u)
    age = 0.0
    last = 0.0
    k = sweeps
    while True:
        _evaluate(matrix, by_class, u, v, t, one)
        k += 1
        error = _error(b, u, t, len(v), relative)
        if error <= tolerance or k >= max_iterations or not error < np.inf:
            return error, k
        if age == 0.0:
            # From the third sweep on, if more than four plain ones are left at their rate, momentum starts from here.
            if accelerate and k > sweeps + 2 and error > tolerance * (error / last) ** 4:
                age = 1.0
                for j in range(classes):
                    g[j] = math.log(b[j] / t[j])
            for j in range(classes):
                u[j] = b[j] / t[j]
            last = error
            continue
        against = 0.0
        for j in range(classes):
            next_g = math.log(b[j] / t[j])
            step[j] = next_g - g[j]
            g[j] = next_g
            against += (b[j] - t[j] * u[j]) * step[j]
        if not _is_narrow(u):
            return error, k
        # Momentum is dropped when it points against the gradient b - c of the semi-dual.
        age = 1.0 if against < 0 else age + 1.0
        momentum = (age - 1.0) / (age + 2.0)
        for j in range(classes):
            u[j] = math.exp(g[j] + momentum * step[j])
