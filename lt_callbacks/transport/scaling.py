# Legend: N samples, C classes, M exponentiated kernel, u and v class and row scalings, b class marginal, t = M^T v.
from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lt_callbacks.transport.exponentiated import Array, Exponentiated, exponentiate, exponentiate_at_scale
from lt_callbacks.transport.newton import newton
from lt_callbacks.transport.result import SinkhornResult

# What a plain sweep and a Newton step take, in nanoseconds, as a function of the shape: fitted to one core of a server
# CPU. They only have to rank the two, whose times differ by tenfold at both ends.
CALLS_NS, ENTRY_NS = 2200, 0.13
NEWTON_CALLS_NS, NEWTON_ENTRY_NS, GRAM_NS, FACTOR_NS = 14_000, 0.8, 0.02, 0.04

#: Sweeps between the first two looks at the error, which show the rate of convergence.
SWEEPS_TO_RATE = 3
#: Entries from which the first look is after the second sweep, and already after the first: the larger the problem, the
#: less a look costs beside a sweep.
ENTRIES_TO_LOOK_AT_TWO, ENTRIES_TO_LOOK_AT_ONE = 8_000, 30_000
#: Sweeps left by the rate of convergence, from which momentum is worth its own cost.
MOMENTUM_FROM = 15
#: Sweeps with momentum between two looks at the error.
MOMENTUM_TEST = 3


def solve_scaled(
    log_kernel: Tensor,
    b: Array,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
) -> SinkhornResult | None:
    """Sinkhorn sweeps on a CPU with the exponential taken once: u <- b / (M^T (1 / (M u))).

    A few plain sweeps show the rate of convergence. Where it says that many are left, Newton's method on the C class
    scalings takes over (few classes) or momentum does.

    Args:
        log_kernel: (N, C) float32 or float64, contiguous, on the CPU; N > 0, C > 0.
        b: (C,) > 0, same dtype, sums to N.
        tolerance: > 0.
        relative: The criterion.
        max_iterations: Limit of evaluations of the column sums: a plain sweep is one, a Newton step is one or more.
        accelerate: Otherwise all sweeps are plain.

    Returns:
        None where the numbers leave the range in which this form is exact: rows without an allowed class, NaN, logits
        of extreme scale. :func:`lt_callbacks.transport.sweeps.solve` then has the answer.
    """
    with np.errstate(all="ignore"):  # what overflows is found by the tests and solved elsewhere
        for make in (exponentiate, exponentiate_at_scale):
            problem = make(log_kernel, b, relative=relative)
            if problem is not None:
                found = _solve(problem, tolerance=tolerance, max_iterations=max_iterations, accelerate=accelerate)
                if found is not None:
                    return found
        return None


def _solve(problem: Exponentiated, *, tolerance: float, max_iterations: int, accelerate: bool) -> SinkhornResult | None:
    u, k = np.divide(problem.b, problem.t), 0
    while True:
        found = _scale(problem, u, k, tolerance=tolerance, max_iterations=max_iterations, accelerate=accelerate)
        if found is None:
            return None
        u, error, k = found
        if problem.is_narrow(u):
            return _result(problem, u, error, k)
        if not problem.absorb(u):
            return None
        # The point that was reached is looked at again, with all its digits.
        u, k = np.ones_like(u), k - 1


def _result(problem: Exponentiated, u: Array, error: float, iterations: int) -> SinkhornResult:
    """The result for the scaling evaluated last."""
    log_scaling = problem.log_scaling(u)
    as_tensor, array = torch.from_numpy, np.array
    return SinkhornResult(problem.plan(u), log_scaling, as_tensor(array(error, u.dtype)), as_tensor(array(iterations)))


def _scale(
    problem: Exponentiated, u: Array, iterations: int, *, tolerance: float, max_iterations: int, accelerate: bool
) -> tuple[Array, float, int] | None:
    """The class scaling evaluated last, its error and the number of evaluations, from (C,) ``u`` on.

    It meets the tolerance, is the last one allowed or is not narrow.
    """
    array, b, v, t = problem.array, problem.b, problem.v, problem.t
    # The methods skip a look for other kinds of array, which takes a third as long as a product of a small problem.
    of_rows, of_columns, reciprocal, divide = array.dot, array.T.dot, np.reciprocal, np.divide
    first_look = SWEEPS_TO_RATE - (array.size >= ENTRIES_TO_LOOK_AT_TWO) - (array.size >= ENTRIES_TO_LOOK_AT_ONE)
    # A point that was reached before is looked at at once.
    k, next_test = iterations, min(iterations + (1 if iterations else first_look), max_iterations)
    earlier: tuple[int, float] | None = None
    while True:
        k += 1
        # `problem.evaluate`, spelled out: a sweep of a small problem costs little more than the calls it is made of.
        of_rows(u, v)
        reciprocal(v, v)
        of_columns(v, t)
        if k == next_test:
            error = problem.error(np.multiply(t, u))
            if error <= tolerance or k >= max_iterations:
                return u, error, k
            if not error < math.inf:
                return None
            if k < SWEEPS_TO_RATE:
                next_test = k + 1
                divide(b, t, u)
                continue
            if earlier is None:
                sweeps = SWEEPS_TO_RATE
            else:
                sweeps = _sweeps_left(earlier, (k, error), tolerance)
                by_newton = accelerate and _newton_pays(sweeps, problem)
                if by_newton or (accelerate and sweeps > MOMENTUM_FROM):
                    if not problem.is_narrow(u):
                        return u, error, k
                    go_on = newton if by_newton else _momentum
                    return go_on(problem, u, iterations=k, tolerance=tolerance, max_iterations=max_iterations)
            earlier = (k, error)
            # The rate drifts, so what is far off is looked at on the way.
            next_test = min(k + min(sweeps, 20), max_iterations)
        divide(b, t, u)


def _sweeps_left(earlier: tuple[int, float], now: tuple[int, float], tolerance: float) -> int:
    """Plain sweeps until the tolerance, if the error goes on to fall as it did between two tests."""
    rate = math.log(now[1] / earlier[1]) / (now[0] - earlier[0])
    return math.ceil(min(math.log(tolerance / now[1]) / rate, 1e6)) if rate < 0 else 1_000_000


def _newton_pays(sweeps: int, problem: Exponentiated) -> bool:
    """Whether two Newton steps, about what a smooth problem needs, take less time than so many plain sweeps.

    With many classes a Newton step costs as much as all that momentum needs, so that it is left out there.
    """
    rows, classes = problem.array.shape
    entries = rows * classes
    sweep = CALLS_NS + ENTRY_NS * entries
    step = NEWTON_CALLS_NS + (NEWTON_ENTRY_NS + GRAM_NS * classes) * entries + FACTOR_NS * classes**3
    return sweeps * sweep > 2 * step and step < 12 * sweep


def _momentum(
    problem: Exponentiated, u: Array, *, iterations: int, tolerance: float, max_iterations: int
) -> tuple[Array, float, int] | None:
    """Nesterov's momentum on g = log u, dropped when it points against the gradient b - c of the semi-dual.

    It starts with a plain sweep from ``u``, which was just evaluated.
    """
    b, t = problem.b, problem.t
    log_b = np.log(b)
    g = log_b - np.log(t)
    u = np.divide(b, t, out=u)
    age, columns, lack = 1.0, np.empty_like(u), np.empty_like(u)
    k = iterations
    while True:
        problem.evaluate(u)
        k += 1
        np.multiply(t, u, out=columns)
        np.subtract(b, columns, out=lack)
        if (k - iterations) % MOMENTUM_TEST == 0 or k >= max_iterations:
            error = problem.error(columns)
            if error <= tolerance or k >= max_iterations or not problem.is_narrow(u):
                return u, error, k
            if not error < math.inf:
                return None
        next_g = log_b - np.log(t)
        step = next_g - g
        age = 1.0 if float(np.dot(lack, step)) < 0 else age + 1.0
        g = next_g
        step *= (age - 1.0) / (age + 2.0)
        step += next_g
        u = np.exp(step, out=step)
