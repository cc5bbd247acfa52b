# Legend: N samples, C classes, P plan, u class scaling, d step of log u, b class marginal, c column sums, t = c / u.
from __future__ import annotations

import math

import numpy as np

from lt_callbacks.transport.exponentiated import Array, Exponentiated

#: Greatest step of a log class scaling.
GREATEST_STEP = 4.0
#: Halvings of a step that goes too far.
HALVINGS = 10


def newton(
    problem: Exponentiated, u: Array, *, iterations: int, tolerance: float, max_iterations: int
) -> tuple[Array, float, int] | None:
    """Newton's method on the log class scalings, from a scaling that was just evaluated.

    The semi-dual F(g) = sum_i LSE_j(L_ij + g_j) - b.g is convex, with gradient c - b and Hessian diag(c) - P^T P. In
    the variables d / sqrt(c) the Hessian is I - D P^T P D, of which nothing but the constant vector, which changes no
    plan, has the eigenvalue 0; a small multiple of I, less the nearer the end, keeps the factorisation safe from it.

    Args:
        problem: Its ``v`` and ``t`` are those of ``u``.
        u: (C,) > 0; overwritten.
        iterations: Evaluations made so far.
        tolerance: See :func:`lt_callbacks.transport.scaling.solve_scaled`.
        max_iterations: Likewise.

    Returns:
        Scaling, error and evaluations; None where a factorisation failed.
    """
    from scipy.linalg.lapack import dposv, sposv

    factorise = dposv if u.dtype == np.float64 else sposv
    array, v, t = problem.array, problem.v, problem.t
    rows, classes = array.shape
    lack, error = problem.lack(u)
    while True:
        scale = np.sqrt(u / t)
        rows_normalised = array * v[:, None]
        hessian = np.dot(rows_normalised.T, rows_normalised)
        hessian *= scale[:, None]
        hessian *= -scale
        damping = min(1e-2, 0.1 * float(np.add.reduce(np.abs(lack))) / rows)
        hessian.ravel()[:: classes + 1] += 1.0 + max(damping, 1e-5)
        _, d, failed = factorise(hessian.T, scale * lack / u, overwrite_a=1, overwrite_b=1)
        if failed:
            return None
        d *= scale
        d /= u
        length = float(np.maximum.reduce(np.abs(d)))
        if not length < math.inf:
            return None
        d *= min(1.0, GREATEST_STEP / max(length, 1e-30))
        slope = float(np.dot(d, lack))
        start = u.copy()
        for _ in range(HALVINGS):
            np.multiply(start, np.exp(d), out=u)
            problem.evaluate(u)
            iterations += 1
            lack, error = problem.lack(u)
            if error <= tolerance or iterations >= max_iterations:
                return u, error, iterations
            # On the way down the slope shrinks; where it has turned and is steep, the step went past the minimum.
            if -float(np.dot(d, lack)) <= 0.5 * slope:
                break
            d *= 0.5
            slope *= 0.5
        if not problem.is_narrow(u):
            return u, error, iterations
