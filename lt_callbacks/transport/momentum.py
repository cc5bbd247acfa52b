# Legend: C classes, u class scaling, g = log u, b class marginal, c column sums, t = c / u.
from __future__ import annotations

import math

import numpy as np

from lt_callbacks.transport.exponentiated_kernel import Array, ExponentiatedKernel

#: Sweeps between two looks at the error.
SWEEPS_TO_NEXT_LOOK = 3


def momentum_sweeps(
    kernel: ExponentiatedKernel, u: Array, *, iterations: int, tolerance: float, max_iterations: int
) -> tuple[Array, float, int] | None:
    """Sinkhorn sweeps with Nesterov's momentum on the log class scalings, from a scaling that was just evaluated.

    Momentum is dropped when it points against the gradient b - c of the semi-dual.

    Args:
        kernel: Its ``v`` and ``t`` are those of ``u``.
        u: (C,) > 0; overwritten.
        iterations: Evaluations made so far.
        tolerance: See :func:`lt_callbacks.transport.exponentiated.solve_exponentiated`.
        max_iterations: Limit of evaluations.

    Returns:
        Scaling, error and evaluations; None where a number is not finite.
    """
    b, t = kernel.b, kernel.t
    log_b = np.log(b)
    # The first step is a plain sweep.
    g = log_b - np.log(t)
    u = np.divide(b, t, out=u)
    age, columns, residual = 1.0, np.empty_like(u), np.empty_like(u)
    k = iterations
    while True:
        kernel.evaluate(u)
        k += 1
        np.multiply(t, u, out=columns)
        np.subtract(b, columns, out=residual)
        if (k - iterations) % SWEEPS_TO_NEXT_LOOK == 0 or k >= max_iterations:
            error = kernel.error(columns)
            if error <= tolerance or k >= max_iterations or not kernel.is_narrow(u):
                return u, error, k
            if not error < math.inf:
                return None
        next_g = log_b - np.log(t)
        step = next_g - g
        age = 1.0 if float(np.dot(residual, step)) < 0 else age + 1.0
        g = next_g
        step *= (age - 1.0) / (age + 2.0)
        step += next_g
        u = np.exp(step, out=step)
