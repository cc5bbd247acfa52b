# Legend: N samples (over all ranks), C classes, L log kernel, g log class scaling, b class marginal, c column sums.
from __future__ import annotations

import importlib.util
import math
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentImportError, ArgumentValueError
from lt_callbacks.transport.dispatch import fits_fused, solve_transport
from lt_callbacks.transport.held_rows import hold_rows
from lt_callbacks.transport.marginal import check_problem, in_range_of
from lt_callbacks.transport.result import SinkhornResult

CRITERIA = ("total_variation", "relative")
BACKENDS = ("auto", "torch", "numba", "triton")


def sinkhorn(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    tolerance: float = 1e-3,
    criterion: str = "total_variation",
    max_iterations: int = 100,
    accelerate: bool = True,
    process_group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> SinkhornResult:
    """Scale exp(log_kernel) so that every row sums to 1 and the columns sum to ``class_marginal``.

    Rows are eliminated exactly, which leaves a convex problem in the C class scalings: a sweep's column sums say how
    far it is from its end, and a plan stopped early still has exact rows. No logit scale overflows: where the range of
    the kernel's exponential does not suffice, the sweeps run in the log domain.

    Args:
        log_kernel: (N, C) floating, any dtype. Unnormalised log-weights; a constant added to a row changes nothing;
            ``-inf`` forbids a pair. N may be 0. A row that allows no class of positive marginal, or that holds NaN or
            ``inf``, is absent: zeros, not counted.
        class_marginal: (C,) >= 0, in samples, real and of any dtype, on the device of ``log_kernel``. Only its
            proportions count, at any scale: it is rescaled to the number of rows. A class with 0 gets an exactly empty
            column. With a ``process_group``: this rank's contribution; the contributions are added.
        tolerance: Error at which the sweeps stop; unitless, >= 0. At 0 all ``max_iterations`` sweeps run.
        criterion: ``"total_variation"``: sum_j |c_j - b_j| / N, the share of the mass in the wrong class (doubled);
            ``"relative"``: max_j |c_j - b_j| / b_j, which rare classes dominate.
        max_iterations: Limit of sweeps, >= 1.
        accelerate: Nesterov momentum with gradient restart on the class scalings; needs about the square root of
            the plain number of sweeps on sharp kernels. On the CPU, Newton steps where they are cheaper.
        process_group: Solve the problem of all its ranks: by one all-gather and the same sweeps on each, or by sweeps
            on the own rows and an all-reduce of the column sums in each. The faster way is taken, which is the first
            one but for large problems on CPUs; plans differ within the tolerance. All ranks must pass equal settings.
        backend: ``"auto"``: on a GPU one launch of a Triton kernel, for problems that fit; torch otherwise.
            ``"torch"``: always. ``"triton"``: an error where the kernel cannot be had. ``"numba"``: compiled sweeps on
            the CPU, of the extra ``numba``; ``"auto"`` does not take them, so that results depend on no package that
            happens to be installed. Plans of different backends differ within the tolerance.

    Returns:
        :class:`SinkhornResult` in float32 (float64 for float64 input), on the device of ``log_kernel``.

    Raises:
        TypeError: An argument is no tensor, ``log_kernel`` is not floating, or ``class_marginal`` is complex.
        ValueError: Shapes or devices disagree, a setting is out of range, the backend is not for this device, or
            ``class_marginal`` is negative, not finite or sums to 0 (looked at on the CPU only, where reading it does
            not make the host wait).
        ImportError: The backend asked for is not installed.

    Cost: O(N * C) per sweep, O(N * C^2) per Newton step. On the CPU and in the GPU kernel the sweeps stop at the
    tolerance; with torch on a GPU all run, and those after convergence change nothing, so that the host never waits for
    the device.
    Gradient: none.
    Reference: D-SINK, arXiv 2510.08179, Eq. 4 and Algorithm 1, lines 8-11; the semi-dual and its acceleration follow
    Lehmann et al. 2020 and Acc-Sinkhorn, arXiv 2605.30267.

    Example:
        >>> result = sinkhorn(torch.zeros(4, 2), torch.tensor([3.0, 1.0]))
        >>> result.plan[0]
        tensor([0.7500, 0.2500])
    """
    if not _is_usual(log_kernel, class_marginal, tolerance, criterion, max_iterations):
        check_problem(log_kernel, class_marginal)
        real("tolerance", tolerance, at_least=0.0)
        one_of("criterion", criterion, CRITERIA)
        integer("max_iterations", max_iterations, at_least=1)
    if backend != "auto":
        _check_backend(backend, log_kernel)
    if log_kernel.requires_grad or class_marginal.requires_grad:
        # Nothing below has a gradient then; a `no_grad` around it would take longer than some problems.
        log_kernel, class_marginal = log_kernel.detach(), class_marginal.detach()
    relative = criterion == "relative"
    if process_group is None and log_kernel.is_cpu and log_kernel.dtype == class_marginal.dtype == torch.float32:
        # The straight way of the usual call: what follows takes as long as a small problem.
        return solve_transport(
            log_kernel,
            class_marginal,
            num_rows=log_kernel.shape[0],
            tolerance=tolerance,
            relative=relative,
            max_iterations=max_iterations,
            accelerate=accelerate,
            backend=backend,
        )

    # Under autocast the matrix products would run in half precision and the error would stall near 4e-3.
    with torch.autocast(log_kernel.device.type, enabled=False):
        dtype = torch.float64 if log_kernel.dtype == torch.float64 else torch.float32
        held = hold_rows(
            (log_kernel.to(dtype),),
            in_range_of(dtype, class_marginal, process_group=process_group),
            process_group=process_group,
            num_sweeps=max_iterations,
            may_reduce=backend in ("auto", "torch"),
        )
        result = solve_transport(
            held.parts[0],
            cast("Tensor", held.class_marginal),
            num_rows=held.num_rows,
            tolerance=tolerance,
            relative=relative,
            max_iterations=max_iterations,
            accelerate=accelerate,
            sums=held.sums,
            backend=backend,
        )
        return result._replace(plan=result.plan[held.own])


def _is_usual(
    log_kernel: Tensor, class_marginal: Tensor, tolerance: object, criterion: object, max_iterations: object
) -> bool:
    """Whether the arguments are beyond doubt, so that the checks that can say what is wrong are left out."""
    return (
        isinstance(log_kernel, Tensor)
        and isinstance(class_marginal, Tensor)
        and log_kernel.ndim == 2
        and log_kernel.shape[1:] == class_marginal.shape
        and log_kernel.is_floating_point()
        and class_marginal.is_floating_point()
        and log_kernel.device == class_marginal.device
        and type(tolerance) is float
        and 0 <= tolerance < math.inf
        and type(criterion) is str
        and criterion in CRITERIA
        and type(max_iterations) is int
        and max_iterations >= 1
    )


def _check_backend(backend: str, log_kernel: Tensor) -> None:
    one_of("backend", backend, BACKENDS)
    if backend == "numba":
        if not log_kernel.is_cpu:
            raise ArgumentValueError(
                "backend",
                rule="be 'numba' for tensors on the CPU only",
                got=f"'numba' for a kernel on {log_kernel.device}",
                way_out="Leave it at 'auto'.",
            )
        if importlib.util.find_spec("numba") is None:
            raise ArgumentImportError(
                "backend",
                rule="be one that is installed",
                got="'numba', which is not",
                way_out="Run `pip install lt_callbacks[numba]`.",
            )
    if backend == "triton" and not fits_fused(log_kernel):
        raise ArgumentValueError(
            "backend",
            rule="be 'triton' only for a float32, bfloat16 or float16 kernel that fits into one launch, on a CUDA "
            "device with Triton",
            got=f"{log_kernel.dtype} {tuple(log_kernel.shape)} on {log_kernel.device}",
            way_out="Leave it at 'auto'.",
        )
