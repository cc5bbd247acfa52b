# Legend: N samples (over all ranks), C classes, L log kernel, g log class scaling, b class marginal, c column sums.
from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._ranks import gather_rows, share_lengths
from lt_callbacks.transport.exponentiated import ones
from lt_callbacks.transport.ranks import RankSums, WholeProblem, holds_own_rows
from lt_callbacks.transport.result import SinkhornResult
from lt_callbacks.transport.scaling import solve_scaled
from lt_callbacks.transport.sweeps import solve

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
        class_marginal: (C,) >= 0, in samples. Only its proportions count: it is rescaled to the number of rows. A class
            with 0 gets an exactly empty column. With a ``process_group``: this rank's contribution; the
            contributions are added.
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
        TypeError: ``log_kernel`` is not floating.
        ValueError: Shapes disagree, a setting is out of range, the backend is not for this device, or
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
        _check_shapes(log_kernel, class_marginal)
        real("tolerance", tolerance, at_least=0.0)
        one_of("criterion", criterion, CRITERIA)
        integer("max_iterations", max_iterations, at_least=1)
    if backend != "auto":
        _check_backend(backend, log_kernel)
    if log_kernel.requires_grad or class_marginal.requires_grad:
        # Nothing below has a gradient then; a `no_grad` around it would take longer than some problems.
        log_kernel, class_marginal = log_kernel.detach(), class_marginal.detach()
    if process_group is None and log_kernel.is_cpu and log_kernel.dtype == class_marginal.dtype == torch.float32:
        # The straight way of the usual call: the rest takes as long as a small problem.
        return solve_whole(
            log_kernel,
            class_marginal,
            num_rows=log_kernel.shape[0],
            tolerance=tolerance,
            relative=criterion == "relative",
            max_iterations=max_iterations,
            accelerate=accelerate,
            backend=backend,
        )

    # Under autocast the matrix products would run in half precision and the error would stall near 4e-3.
    with torch.autocast(log_kernel.device.type, enabled=False):
        dtype = torch.float64 if log_kernel.dtype == torch.float64 else torch.float32
        rows, marginal = log_kernel.to(dtype), class_marginal.to(dtype)
        own, sums, num_rows = slice(None), WholeProblem(), len(rows)
        if process_group is not None:
            lengths = share_lengths(len(rows), process_group)
            num_rows = sum(lengths)
            if backend in ("auto", "torch") and holds_own_rows(
                lengths, rows.shape[1], max_iterations=max_iterations, device=rows.device
            ):
                sums = RankSums(process_group)
                marginal = sums.add(marginal)
            else:
                rows, marginal, own = _join(rows, marginal, process_group, lengths)
        result = solve_whole(
            rows,
            marginal,
            num_rows=num_rows,
            tolerance=tolerance,
            relative=criterion == "relative",
            max_iterations=max_iterations,
            accelerate=accelerate,
            sums=sums,
            backend=backend,
        )
        return result._replace(plan=result.plan[own])


def solve_whole(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    num_rows: int,
    tolerance: float,
    max_iterations: int,
    relative: bool = False,
    accelerate: bool = True,
    sums: WholeProblem | None = None,
    backend: str = "auto",
) -> SinkhornResult:
    """What :func:`sinkhorn` does once the class marginal of the whole problem is known, for callers that know it.

    Args:
        log_kernel: (N, C) float32 or float64: all rows, or this rank's where ``sums`` adds over ranks.
        class_marginal: (C,) same dtype, of the whole problem.
        num_rows: Of the whole problem.
        tolerance: See :func:`sinkhorn`, as ``max_iterations`` and ``accelerate``.
        max_iterations: Limit of sweeps.
        relative: The criterion.
        accelerate: Nesterov momentum.
        sums: See :func:`~lt_callbacks.transport.sweeps.solve`.
        backend: See :func:`sinkhorn`.

    Raises:
        ValueError: ``class_marginal`` is not one; on the CPU only, and on all ranks alike.
    """
    settings: dict[str, Any] = {
        "tolerance": tolerance,
        "relative": relative,
        "max_iterations": max_iterations,
        "accelerate": accelerate,
    }
    holds_all = sums is None or type(sums) is WholeProblem
    on_cpu = log_kernel.is_cpu
    wants_triton = backend == "triton" or (backend == "auto" and not on_cpu)
    if holds_all and wants_triton and _fits_triton(log_kernel):
        from lt_callbacks.transport import fused

        return fused.solve(log_kernel, class_marginal, **settings)
    if on_cpu:
        if holds_all and tolerance > 0 and num_rows:
            found = _solve_scaled(log_kernel, class_marginal.numpy(), backend, settings)
            if found is not None:
                return found
        _check_marginal(class_marginal, num_rows)
    return solve(log_kernel, class_marginal, stop_early=on_cpu and tolerance > 0, sums=sums, **settings)


def _solve_scaled(
    log_kernel: Tensor, marginal: np.ndarray, backend: str, settings: dict[str, Any]
) -> SinkhornResult | None:
    """The plan by the exponential of the kernel; None where that is not the way, or for a marginal that is none.

    A class marginal of 0 or below 0 gives a scaling that is no exponential, which is found in the end.
    """
    total = float(marginal.dot(ones(len(marginal), marginal.dtype)))
    if not 0 < total < math.inf:
        return None
    if backend == "numba":
        from lt_callbacks.transport.compiled import solve_compiled as solve_on_cpu
    else:
        solve_on_cpu = solve_scaled
    return solve_on_cpu(log_kernel.contiguous(), marginal * (log_kernel.shape[0] / total), **settings)


def _join(rows: Tensor, marginal: Tensor, group: dist.ProcessGroup, lengths: list[int]) -> tuple[Tensor, Tensor, slice]:
    """All ranks' rows, the sum of their marginals (each travels as the last row of its share), and this rank's part."""
    shares = gather_rows(torch.cat([rows, marginal[None]]), group, lengths=[length + 1 for length in lengths])
    start = sum(lengths[: dist.get_rank(group)])
    joint = torch.cat([share[:-1] for share in shares])
    return joint, torch.stack([share[-1] for share in shares]).sum(dim=0), slice(start, start + len(rows))


def _is_usual(
    log_kernel: Tensor, class_marginal: Tensor, tolerance: object, criterion: object, max_iterations: object
) -> bool:
    """Whether the arguments are beyond doubt, so that the checks that can say what is wrong are left out."""
    return (
        log_kernel.ndim == 2
        and log_kernel.shape[1:] == class_marginal.shape
        and log_kernel.is_floating_point()
        and type(tolerance) is float
        and 0 <= tolerance < math.inf
        and criterion in CRITERIA
        and type(max_iterations) is int
        and max_iterations >= 1
    )


def _check_shapes(log_kernel: Tensor, class_marginal: Tensor) -> None:
    if not log_kernel.is_floating_point():
        raise TypeError(f"`log_kernel` must be floating; got {log_kernel.dtype}. Pass log-probabilities or logits.")
    if log_kernel.ndim != 2:
        raise ValueError(f"`log_kernel` must have shape (N, C), classes last; got {tuple(log_kernel.shape)}.")
    if class_marginal.shape != log_kernel.shape[1:]:
        raise ValueError(
            f"`class_marginal` must have shape ({log_kernel.shape[1]},), one entry a column of `log_kernel`; got "
            f"{tuple(class_marginal.shape)}. If `log_kernel` has its classes first, pass its transpose."
        )


def _check_marginal(marginal: Tensor, num_rows: int) -> None:
    if not bool(torch.isfinite(marginal).all()) or bool((marginal < 0).any()):
        raise ValueError(f"`class_marginal` must be finite and >= 0; got {marginal.tolist()}. Pass expected counts.")
    if num_rows and float(marginal.sum()) == 0.0:
        raise ValueError("`class_marginal` must have a positive sum; got zeros only. Pass expected counts.")


def _fits_triton(log_kernel: Tensor) -> bool:
    from lt_callbacks.transport import fused

    return log_kernel.dtype != torch.float64 and fused.fits(*log_kernel.shape) and fused.is_available(log_kernel.device)


def _check_backend(backend: str, log_kernel: Tensor) -> None:
    one_of("backend", backend, BACKENDS)
    if backend == "numba":
        if not log_kernel.is_cpu:
            raise ValueError(
                f"`backend` 'numba' is for tensors on the CPU; got {log_kernel.device}. Leave it at 'auto'."
            )
        if importlib.util.find_spec("numba") is None:
            raise ImportError("`backend` 'numba' needs numba. Run `pip install lt_callbacks[numba]`.")
    if backend == "triton" and not _fits_triton(log_kernel):
        raise ValueError(
            f"`backend` 'triton' needs a CUDA device with Triton and a float32, bfloat16 or float16 kernel that fits "
            f"into one launch; got {log_kernel.dtype} {tuple(log_kernel.shape)} on {log_kernel.device}. Leave it at "
            "'auto'."
        )
