# Legend: N samples, C classes, M exponentiated kernel, u and v class and row scalings, b class marginal, t = M^T v.
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lt_callbacks.transport.exponentiated_kernel import (
    Array,
    ExponentiatedKernel,
    exponentiate,
    exponentiate_after_a_sweep,
)
from lt_callbacks.transport.momentum import momentum_sweeps
from lt_callbacks.transport.newton import newton_steps
from lt_callbacks.transport.result import SinkhornResult

# What a plain sweep and a Newton step take, in nanoseconds, as a function of the shape: fitted to one core of a server
# CPU. They only have to rank the two, whose times differ by tenfold at both ends.
CALLS_NS, ENTRY_NS = 2200, 0.13
NEWTON_CALLS_NS, NEWTON_ENTRY_NS, GRAM_NS, FACTOR_NS = 14_000, 0.8, 0.02, 0.04

#: Sweeps between the first two looks at the error, which show the rate of convergence.
SWEEPS_TO_RATE = 3
#: Greatest number of sweeps between two looks: the rate drifts, so what is far off is looked at on the way.
SWEEPS_TO_NEXT_LOOK = 20
#: Entries from which the first look is after the second sweep, and already after the first: the larger the problem, the
#: less a look costs beside a sweep.
ENTRIES_TO_LOOK_AT_TWO, ENTRIES_TO_LOOK_AT_ONE = 8_000, 30_000
#: Sweeps left by the rate of convergence, from which momentum is worth its own cost.
MOMENTUM_FROM = 15

#: Class scaling evaluated last, its error, evaluations so far.
Reached = tuple[Array, float, int]


def solve_exponentiated(
    log_kernel: Tensor,
    b: Array,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
) -> SinkhornResult | None:
    """Scale an exponentiated kernel on a CPU by sweeps u <- b / (M^T (1 / (M u))), then by a faster method if it pays.

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
        of extreme scale. :func:`lt_callbacks.transport.log_domain.solve_in_log_domain` then has the answer.
    """
    with np.errstate(all="ignore"):  # what overflows is found by the tests and solved elsewhere
        for exponential_of in (exponentiate, exponentiate_after_a_sweep):
            kernel = exponential_of(log_kernel, b, relative=relative)
            if kernel is not None:
                found = _scale(kernel, tolerance=tolerance, max_iterations=max_iterations, accelerate=accelerate)
                if found is not None:
                    return found
        return None


def _scale(
    kernel: ExponentiatedKernel, *, tolerance: float, max_iterations: int, accelerate: bool
) -> SinkhornResult | None:
    """Sweep until the end, and take the exponential anew each time that the class scaling has become too wide."""
    # The kernel comes evaluated at the scaling 1.
    u, k = np.empty_like(kernel.b), 0
    while True:
        reached = _sweep(kernel, u, k, tolerance=tolerance, max_iterations=max_iterations, accelerate=accelerate)
        if reached is None:
            return None
        u, error, k = reached
        if kernel.is_narrow(u):
            return _result(kernel, u, error, k)
        if not kernel.absorb(u):
            return None
        u = np.ones_like(u)


def _sweep(
    kernel: ExponentiatedKernel, u: Array, iterations: int, *, tolerance: float, max_iterations: int, accelerate: bool
) -> Reached | None:
    """Sweep from the scaling evaluated last on, until one of three ends; None where a number is not finite.

    The scaling returned, in the memory of ``u``, meets the tolerance, is the last one allowed, or is not narrow.
    """
    k, earlier = iterations, None
    # A scaling that was reached before is looked at at once.
    next_look = k or _first_look(kernel, max_iterations)
    while True:
        # A look at the error takes about as long as a sweep of a small problem, so that few sweeps are looked at.
        kernel.sweep(u, next_look - k)
        k = next_look
        error = kernel.error(kernel.column_sums(u))
        if error <= tolerance or k >= max_iterations:
            return u, error, k
        if not error < math.inf:
            return None
        if k < SWEEPS_TO_RATE:
            next_look = k + 1
            continue

        sweeps_left = _sweeps_left(earlier, (k, error), tolerance)
        faster = _faster_method(sweeps_left, kernel) if accelerate and earlier is not None else None
        if faster is not None:
            if not kernel.is_narrow(u):
                return u, error, k
            return faster(kernel, u, iterations=k, tolerance=tolerance, max_iterations=max_iterations)
        earlier = (k, error)
        next_look = min(k + min(sweeps_left, SWEEPS_TO_NEXT_LOOK), max_iterations)


def _first_look(kernel: ExponentiatedKernel, max_iterations: int) -> int:
    """The sweep after which the error is looked at for the first time."""
    size = kernel.array.size
    sweeps = SWEEPS_TO_RATE - (size >= ENTRIES_TO_LOOK_AT_TWO) - (size >= ENTRIES_TO_LOOK_AT_ONE)
    return min(sweeps, max_iterations)


def _sweeps_left(earlier: tuple[int, float] | None, now: tuple[int, float], tolerance: float) -> int:
    """Plain sweeps until the tolerance, if the error goes on to fall as it did between two looks (sweeps, error)."""
    if earlier is None:
        return SWEEPS_TO_RATE
    rate = math.log(now[1] / earlier[1]) / (now[0] - earlier[0])
    return math.ceil(min(math.log(tolerance / now[1]) / rate, 1e6)) if rate < 0 else 1_000_000


def _faster_method(sweeps: int, kernel: ExponentiatedKernel) -> Callable[..., Reached | None] | None:
    """What takes over where so many plain sweeps are left; None: they go on."""
    if _newton_pays(sweeps, kernel):
        return newton_steps
    return momentum_sweeps if sweeps > MOMENTUM_FROM else None


def _newton_pays(sweeps: int, kernel: ExponentiatedKernel) -> bool:
    """Whether two Newton steps, about what a smooth problem needs, take less time than so many plain sweeps.

    With many classes a Newton step costs as much as all that momentum needs, so that it is left out there.
    """
    rows, classes = kernel.array.shape
    entries = rows * classes
    sweep = CALLS_NS + ENTRY_NS * entries
    step = NEWTON_CALLS_NS + (NEWTON_ENTRY_NS + GRAM_NS * classes) * entries + FACTOR_NS * classes**3
    return sweeps * sweep > 2 * step and step < 12 * sweep


def _result(kernel: ExponentiatedKernel, u: Array, error: float, iterations: int) -> SinkhornResult:
    """The result for the scaling evaluated last; ``kernel`` is used up."""
    log_scaling = kernel.log_scaling(u)
    as_tensor, array = torch.from_numpy, np.array
    plan = kernel.into_plan(u)
    return SinkhornResult(plan, log_scaling, as_tensor(array(error, u.dtype)), as_tensor(array(iterations)))
