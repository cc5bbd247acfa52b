# Legend: N samples, C classes, P plan, u class scaling, d step of log u, b class marginal, c column sums, t = c / u.
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lt_callbacks.transport.exponentiated_kernel import Array, ExponentiatedKernel

#: Greatest step of a log class scaling.
GREATEST_STEP = 4.0
#: Halvings of a step that goes too far.
HALVINGS = 10
#: Multiple of the identity that is added to the Hessian: at most, as a share of the total variation, and at least.
GREATEST_DAMPING, DAMPING, LEAST_DAMPING = 1e-2, 0.1, 1e-5


def newton_steps(
    kernel: ExponentiatedKernel, u: Array, *, iterations: int, tolerance: float, max_iterations: int
) -> tuple[Array, float, int] | None:
    """Newton's method on the log class scalings, from a scaling that was just evaluated.

    Args:
        kernel: Its ``v`` and ``t`` are those of ``u``.
        u: (C,) > 0; overwritten.
        iterations: Evaluations made so far.
        tolerance: See :func:`lt_callbacks.transport.exponentiated.solve_exponentiated`.
        max_iterations: Limit of evaluations.

    Returns:
        Scaling, error and evaluations; None where a factorisation failed.
    """
    solve_positive = _solver_of_positive_systems(u)
    residual, error = kernel.residual(u)
    while True:
        d = _newton_direction(kernel, u, residual, solve_positive)
        if d is None:
            return None
        slope = float(np.dot(d, residual))
        start = u.copy()
        for _ in range(HALVINGS):
            np.multiply(start, np.exp(d), out=u)
            kernel.evaluate(u)
            iterations += 1
            residual, error = kernel.residual(u)
            if error <= tolerance or iterations >= max_iterations:
                return u, error, iterations
            # On the way down the slope shrinks; where it has turned and is steep, the step went past the minimum.
            if -float(np.dot(d, residual)) <= 0.5 * slope:
                break
            d *= 0.5
            slope *= 0.5
        if not kernel.is_narrow(u):
            return u, error, iterations


def _newton_direction(
    kernel: ExponentiatedKernel, u: Array, residual: Array, solve_positive: Callable[..., Any]
) -> Array | None:
    """(C,) step of log u for the scaling evaluated last, which is ``u``; None where a factorisation failed.

    The semi-dual F(g) = sum_i LSE_j(L_ij + g_j) - b.g is convex, with gradient c - b and Hessian diag(c) - P^T P. In
    the variables d / sqrt(c) the Hessian is I - D P^T P D, of which nothing but the constant vector, which changes no
    plan, has the eigenvalue 0; a small multiple of I, less the nearer the end, keeps the factorisation safe from it.
    """
    rows, classes = kernel.array.shape
    # With R = diag(v) M, whose columns times u are P: (P^T P)_jk = u_j (R^T R)_jk u_k, and D = 1 / sqrt(c) = scale / u.
    scale = np.sqrt(u / kernel.t)
    rows_normalised = kernel.array * kernel.v[:, None]
    hessian = np.dot(rows_normalised.T, rows_normalised)
    hessian *= scale[:, None]
    hessian *= -scale
    damping = min(GREATEST_DAMPING, DAMPING * float(np.add.reduce(np.abs(residual))) / rows)
    hessian.ravel()[:: classes + 1] += 1.0 + max(damping, LEAST_DAMPING)
    _, d, failed = solve_positive(hessian.T, scale * residual / u, overwrite_a=1, overwrite_b=1)
    if failed:
        return None
    d *= scale
    d /= u
    length = float(np.maximum.reduce(np.abs(d)))
    if not length < math.inf:
        return None
    d *= min(1.0, GREATEST_STEP / max(length, 1e-30))
    return d


def _solver_of_positive_systems(u: Array) -> Callable[..., Any]:
    """LAPACK's Cholesky solver for the dtype of ``u``; scipy is loaded by the first problem that takes such a step."""
    from scipy.linalg.lapack import dposv, sposv

    return dposv if u.dtype == np.float64 else sposv
