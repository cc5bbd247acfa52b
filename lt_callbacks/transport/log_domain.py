# Legend: N samples, C classes, L log kernel, g log class scaling, y its extrapolation, b class marginal, c column sums.
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lt_callbacks.transport.column_sums import ColumnSums, LocalSums
from lt_callbacks.transport.marginal import summing_to
from lt_callbacks.transport.result import SinkhornResult

#: Sweeps between two exponentials of the kernel where the host does not look at the numbers.
ABSORB_EVERY = 10
#: Greatest change of a log scaling since the exponential was taken; e^60 times a weight that counts is finite.
GREATEST_CHANGE = 60.0


def solve_in_log_domain(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
    stop_early: bool,
    sums: ColumnSums | None = None,
) -> SinkhornResult:
    """Scale a kernel by sweeps g <- g + log(b / c), c the column sums of softmax(L + g): exact rows, any device.

    Args:
        log_kernel: (N, C) float32 or float64. A row without an allowed class of positive marginal, or with NaN or inf,
            is absent: it gets zeros and counts nowhere.
        class_marginal: (C,) >= 0, same dtype; proportions.
        tolerance: Error at which the scaling is left alone.
        relative: The criterion; see :func:`lt_callbacks.transport.sinkhorn`.
        max_iterations: Limit of sweeps.
        accelerate: Nesterov momentum with gradient restart.
        stop_early: Leave the loop at the tolerance, which reads a value on the host; each sweep is a softmax in the log
            domain, exact at any scale. Otherwise all sweeps run, those after convergence change nothing, and a sweep is
            two products with a kernel whose exponential is taken anew every ten sweeps: no shape or branch depends on a
            value, so that a CUDA graph can hold it.
        sums: How sums are completed where the rows are shared out over ranks; ``class_marginal`` is the whole one all
            the same. None: all rows are here.
    """
    problem, g = _first_sweep(log_kernel, class_marginal, LocalSums() if sums is None else sums, relative)
    y = g
    momentum_age = g.new_ones(())
    iterations = torch.ones((), dtype=torch.int64, device=g.device)

    plan, base = problem.rows, y
    for sweep in range(max_iterations - 1):
        if stop_early or sweep % ABSORB_EVERY == 0:
            (plan, c), base = problem.evaluate(y), y
        else:
            y, c = problem.evaluate_near(y, plan, base)
        error = problem.error(c)
        is_done = error <= tolerance
        if stop_early and problem.sums.should_stop(is_done):
            break
        step = torch.where(problem.is_open, problem.log_b - c.clamp_min(problem.tiny).log(), 0.0)
        next_g = y + step
        if accelerate:
            # Momentum is dropped when it points against the gradient b - c of the semi-dual.
            momentum_age = torch.where(torch.dot(problem.b - c, next_g - g) < 0, 1.0, momentum_age + 1.0)
            next_y = next_g + (momentum_age - 1.0) / (momentum_age + 2.0) * (next_g - g)
        else:
            next_y = next_g
        # A converged scaling is a fixed point of the loop: the same y gives the same error again.
        y, g = torch.where(is_done, y, next_y), next_g
        iterations = iterations + (~is_done)
    else:
        plan, c = problem.evaluate(y)
        error = problem.error(c)
    return SinkhornResult(
        plan=plan * problem.presence[:, None],
        log_class_scaling=y.masked_fill(~problem.is_open, -torch.inf),
        marginal_error=error,
        iterations=iterations,
    )


@dataclass(frozen=True)
class _Problem:
    """What the sweeps need of a kernel and a marginal.

    Attributes:
        rows: (N, C) L, ``-inf`` in closed classes, 0 in absent rows.
        presence: (N,) 1 for a row that counts, 0 for one that is absent.
        is_open: (C,) whether a class has mass.
        b: (C,) class marginal, sums to the number of present rows over all ranks.
        log_b: (C,) its logarithm, finite.
        unit: What a deviation of column sums is multiplied with: 0-d, or (C,) for the relative criterion.
        relative: The criterion.
        tiny: Least positive normal number of the dtype.
        sums: How sums are completed over ranks.
    """

    rows: Tensor
    presence: Tensor
    is_open: Tensor
    b: Tensor
    log_b: Tensor
    unit: Tensor
    relative: bool
    tiny: float
    sums: ColumnSums

    def evaluate(self, scaling: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C) plan of a log class scaling, from the log domain, and its (C,) column sums over all rows."""
        plan = torch.softmax(self.rows + scaling, dim=1)
        return plan, self.sums.total(torch.mv(plan.t(), self.presence))

    def evaluate_near(self, scaling: Tensor, plan: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
        """(C,) the scaling, and its column sums, from the ``plan`` of the scaling ``base`` by two products."""
        # What would go further waits for the next exponential.
        scaling = base + (scaling - base).clamp(-GREATEST_CHANGE, GREATEST_CHANGE)
        u = (scaling - base).exp()
        return scaling, self.sums.total(u * torch.mv(plan.t(), self.presence / torch.mv(plan, u)))

    def error(self, column_sums: Tensor) -> Tensor:
        """0-d distance of (C,) column sums from the class marginal, in the unit of the criterion."""
        deviation = (column_sums - self.b).abs() * self.unit
        return deviation.amax() if self.relative else deviation.sum()


def _first_sweep(
    log_kernel: Tensor, class_marginal: Tensor, sums: ColumnSums, relative: bool
) -> tuple[_Problem, Tensor]:
    """The problem and its (C,) log class scaling after one sweep, which sums columns in the log domain too.

    A class whose every entry underflows still gets its mass by it.
    """
    tiny = torch.finfo(log_kernel.dtype).tiny
    is_open = class_marginal > 0
    rows = log_kernel.masked_fill(~is_open, -torch.inf)
    is_present = rows.amax(dim=1).isfinite() if rows.shape[1] else rows.new_zeros(len(rows), dtype=torch.bool)
    rows = rows.masked_fill(~is_present[:, None], 0.0)
    presence = is_present.to(rows.dtype)
    row_lse = rows.logsumexp(dim=1, keepdim=True)
    column_lse = (rows - row_lse).masked_fill(~is_present[:, None], -torch.inf).logsumexp(dim=0)
    column_lse, mass = sums.log_total(column_lse, presence.sum())
    b = summing_to(mass, class_marginal)
    log_b = b.clamp_min(tiny).log()
    unit = torch.where(is_open, 1 / b.clamp_min(tiny), 0.0) if relative else 1 / mass.clamp_min(1.0)
    g = torch.where(is_open & column_lse.isfinite(), log_b - column_lse, 0.0)
    return _Problem(rows, presence, is_open, b, log_b, unit, relative, tiny, sums), g
