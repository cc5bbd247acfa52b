# Legend: N samples, C classes, L log kernel, g log class scaling, y its extrapolation, b class marginal, c column sums.
from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks.transport.ranks import WholeProblem
from lt_callbacks.transport.result import SinkhornResult

#: Sweeps between two exponentials of the kernel where the host does not look at the numbers.
ABSORB_EVERY = 10
#: Greatest change of a log scaling since the exponential was taken; e^60 times a weight that counts is finite.
GREATEST_CHANGE = 60.0


def solve(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
    stop_early: bool,
    sums: WholeProblem | None = None,
) -> SinkhornResult:
    """Sweeps on the class scalings with the rows eliminated: g <- g + log(b / c), c = column sums of softmax(L + g).

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
        sums: How sums over the rows are made where the rows are shared out over ranks; ``class_marginal`` is the whole
            one all the same. None: all rows are here.
    """
    sums = WholeProblem() if sums is None else sums
    tiny = torch.finfo(log_kernel.dtype).tiny
    is_open = class_marginal > 0
    rows = log_kernel.masked_fill(~is_open, -torch.inf)
    is_present = rows.amax(dim=1).isfinite() if rows.shape[1] else rows.new_zeros(len(rows), dtype=torch.bool)
    rows = rows.masked_fill(~is_present[:, None], 0.0)
    presence = is_present.to(rows.dtype)
    # The first sweep sums columns in the log domain too: a class whose every entry underflows still gets its mass.
    row_lse = rows.logsumexp(dim=1, keepdim=True)
    column_lse = (rows - row_lse).masked_fill(~is_present[:, None], -torch.inf).logsumexp(dim=0)
    column_lse, mass = sums.first(column_lse, presence.sum())
    b = class_marginal * (mass / class_marginal.sum().clamp_min(tiny))
    log_b = b.clamp_min(tiny).log()
    criterion_scale = torch.where(is_open, 1 / b.clamp_min(tiny), 0.0) if relative else 1 / mass.clamp_min(1.0)

    def error_of(column_sums: Tensor) -> Tensor:
        deviation = (column_sums - b).abs() * criterion_scale
        return deviation.amax() if relative else deviation.sum()

    def evaluate(scaling: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        plan = torch.softmax(rows + scaling, dim=1)
        column_sums = sums.add(torch.mv(plan.t(), presence))
        return plan, column_sums, error_of(column_sums)

    g = torch.where(is_open & column_lse.isfinite(), log_b - column_lse, 0.0)
    y = g
    momentum_age = rows.new_ones(())
    iterations = torch.ones((), dtype=torch.int64, device=rows.device)

    plan, base = rows, y
    for sweep in range(max_iterations - 1):
        if stop_early or sweep % ABSORB_EVERY == 0:
            (plan, c, error), base = evaluate(y), y
        else:
            # What would go further waits for the next exponential.
            y = base + (y - base).clamp(-GREATEST_CHANGE, GREATEST_CHANGE)
            u = (y - base).exp()
            c = sums.add(u * torch.mv(plan.t(), presence / torch.mv(plan, u)))
            error = error_of(c)
        is_done = error <= tolerance
        if stop_early and sums.is_over(is_done):
            break
        step = torch.where(is_open, log_b - c.clamp_min(tiny).log(), 0.0)
        next_g = y + step
        if accelerate:
            # Momentum is dropped when it points against the gradient b - c of the semi-dual.
            momentum_age = torch.where(torch.dot(b - c, next_g - g) < 0, 1.0, momentum_age + 1.0)
            next_y = next_g + (momentum_age - 1.0) / (momentum_age + 2.0) * (next_g - g)
        else:
            next_y = next_g
        # A converged scaling is a fixed point of the loop: the same y gives the same error again.
        y, g = torch.where(is_done, y, next_y), next_g
        iterations = iterations + (~is_done)
    else:
        plan, _, error = evaluate(y)
    return SinkhornResult(
        plan=plan * presence[:, None],
        log_class_scaling=y.masked_fill(~is_open, -torch.inf),
        marginal_error=error,
        iterations=iterations,
    )
