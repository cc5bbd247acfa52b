"""Our own solver, by backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from lt_callbacks.bench.problems import Criterion
from lt_callbacks.bench.solvers import AtCount, Solver
from lt_callbacks.transport import SinkhornResult, sinkhorn

#: Backends that are asked for; an installation that lacks one says so, and the table names it as missing.
BACKENDS = {"cpu": ("torch", "numba"), "cuda": ("torch", "triton")}


def our_solvers(*, device: str, criterion: Criterion, only: Sequence[str] = ()) -> tuple[list[Solver], dict[str, str]]:
    """Our solver by each backend that this installation has, and why it lacks the others; ``only`` names some."""
    found, lacking = [], {}
    for backend in BACKENDS[device]:
        name = f"ours, {backend}"
        # A backend that is asked whether it is there may be compiled for it.
        if only and not name.startswith(tuple(only)):
            continue
        try:
            solve(torch.zeros(4, 2, device=device), torch.ones(2, device=device), criterion, backend=backend, limit=10)
        except (ImportError, ValueError) as error:
            lacking[name] = str(error).partition("\n")[0]
            continue
        found.append(
            Solver(
                name=name,
                group="ours",
                at=partial(_at, criterion=criterion, backend=backend),
                # On a GPU the torch sweeps never wait for the device: all that are asked for run, as in a peer.
                finds_count=not (device == "cuda" and backend == "torch"),
                is_plain=False,
            )
        )
    return found, lacking


def _at(log_kernel: Tensor, class_marginal: Tensor, *, criterion: Criterion, backend: str) -> AtCount:
    # Rows are exact at every iterate: there is nothing to normalise.
    return lambda limit, _: partial(_plan, log_kernel, class_marginal, criterion, backend, limit)


def _plan(log_kernel: Tensor, class_marginal: Tensor, criterion: Criterion, backend: str, limit: int) -> Tensor:
    return solve(log_kernel, class_marginal, criterion, backend=backend, limit=limit).plan


def solve(
    log_kernel: Tensor, class_marginal: Tensor, criterion: Criterion, *, backend: str, limit: int
) -> SinkhornResult:
    """Solve a problem to a criterion with `lt_callbacks.transport.sinkhorn`, in at most ``limit`` sweeps."""
    return sinkhorn(
        log_kernel,
        class_marginal,
        tolerance=criterion.tolerance,
        criterion=criterion.kind,
        max_iterations=limit,
        backend=backend,
    )
