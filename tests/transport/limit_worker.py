"""Run by test_sinkhorn_limits.py, as a process of its own: solves stopped at every limit, by every way there is here.

Argument: the file for what was found.
"""

from __future__ import annotations

import importlib.util
import itertools
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from reference import problem
from spawned_ranks import group_of_one
from torch import Tensor

from lt_callbacks.transport import fused, held_rows, sinkhorn
from lt_callbacks.transport.exponentiated import solve_exponentiated
from lt_callbacks.transport.log_domain import solve_in_log_domain
from lt_callbacks.transport.result import SinkhornResult

#: Seconds of the processor's time, many times what all solves take: a loop without end is killed by the system, also
#: one of compiled code, however busy the machine is.
MOST_SECONDS = 400

LIMITS = range(1, 13)
SCALES = (32.0, 64.0, 200.0)
SHAPES = ((100, 10), (60, 100))
CRITERIA = ("total_variation", "relative")
TOLERANCES = (1e-2, 1e-6)

Solve = Callable[..., "SinkhornResult | None"]


def wide_problem(shape: tuple[int, int], scale: float) -> tuple[Tensor, Tensor]:
    """(N, C) log kernel and (C,) marginal, of which no entry is 0 in float32."""
    log_kernel, marginal = problem(*shape, scale)
    return log_kernel.float(), marginal.float().clamp_min(1e-3)


def in_logs(*, stop_early: bool, accelerate: bool = True) -> Solve:
    def solve(log_kernel: Tensor, marginal: Tensor, **settings: Any) -> SinkhornResult:
        return solve_in_log_domain(log_kernel, marginal, stop_early=stop_early, accelerate=accelerate, **settings)

    return solve


def by_exponential(*, accelerate: bool) -> Solve:
    def solve(log_kernel: Tensor, marginal: Tensor, **settings: Any) -> SinkhornResult | None:
        return solve_exponentiated(log_kernel, share_of(log_kernel, marginal), accelerate=accelerate, **settings)

    return solve


def compiled(*, accelerate: bool) -> Solve:
    def solve(log_kernel: Tensor, marginal: Tensor, **settings: Any) -> SinkhornResult | None:
        from lt_callbacks.transport.compiled import solve_compiled

        return solve_compiled(log_kernel, share_of(log_kernel, marginal), accelerate=accelerate, **settings)

    return solve


def share_of(log_kernel: Tensor, marginal: Tensor) -> Any:
    return (marginal * (len(log_kernel) / marginal.sum())).numpy()


def called(**chosen: Any) -> Solve:
    def solve(log_kernel: Tensor, marginal: Tensor, *, relative: bool, **settings: Any) -> SinkhornResult:
        return sinkhorn(log_kernel, marginal, criterion=CRITERIA[relative], **settings, **chosen)

    return solve


def ways(group: Any) -> Iterator[tuple[str, Solve]]:
    """Those whose name ends with "plain" make nothing but sweeps g <- g + log(b / c)."""
    yield "logs", in_logs(stop_early=True)
    yield "logs_plain", in_logs(stop_early=True, accelerate=False)
    yield "products", in_logs(stop_early=False)
    yield "exponential", by_exponential(accelerate=True)
    yield "exponential_plain", by_exponential(accelerate=False)
    yield "auto", called()
    yield "rank_sums", called(process_group=group)
    if importlib.util.find_spec("numba") is not None:
        yield "compiled", compiled(accelerate=True)
        yield "compiled_plain", compiled(accelerate=False)
        yield "numba", called(backend="numba")
    if fused.has_triton():
        yield "triton", called(backend="triton")
        yield "triton_plain", called(backend="triton", accelerate=False)


def main(file: Path) -> None:
    found: dict[tuple[Any, ...], Any] = {}
    with group_of_one() as group:
        for name, solve in ways(group):
            # A group of one is no reason to sum over ranks, unless it is forced.
            held_rows.FORCED = "reduce" if name == "rank_sums" else None
            for shape, scale in itertools.product(SHAPES, SCALES):
                log_kernel, marginal = wide_problem(shape, scale)
                for limit, criterion, tolerance in itertools.product(LIMITS, CRITERIA, TOLERANCES):
                    if name.startswith("triton") and (shape != SHAPES[1] or tolerance != TOLERANCES[1]):
                        continue  # the interpreter takes its time
                    settings = {"tolerance": tolerance, "max_iterations": limit}
                    result = solve(log_kernel, marginal, relative=criterion == "relative", **settings)
                    key = (name, shape, scale, limit, criterion, tolerance)
                    found[key] = None if result is None else tuple(result)
    torch.save(found, file)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    torch.set_num_threads(1)
    # Where there is Triton, its interpreter is asked for by a variable.
    fused.FORCED = True
    main(Path(sys.argv[1]))
