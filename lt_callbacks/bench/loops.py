"""Sinkhorn as it is written by hand in training scripts: a fixed number of sweeps, no test of convergence."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from lt_callbacks.bench.problems import Criterion
from lt_callbacks.bench.solvers import AtCount, Solver, normalised

#: Sweeps in one compiled graph.
COMPILED_SWEEPS = 5

NAIVE = "naive log-domain"


def loop_solvers(*, device: str) -> list[Solver]:
    """All hand-written loops that run on a device."""
    found = [
        Solver(name=NAIVE, group="loop", at=naive_log),
        Solver(name="naive log-domain, torch.compile", group="loop", at=compiled_log),
        Solver(name="probability space (DINO)", group="loop", at=probability_space),
        Solver(name="matvec torch", group="floor", at=matvec_torch),
    ]
    return [*found, Solver(name="matvec numpy", group="floor", at=matvec_numpy)] if device == "cpu" else found


def naive_log(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    """Sinkhorn in the log domain: two logsumexp a sweep over the whole matrix."""

    def run(count: int, normalise: bool) -> Tensor:
        log_b, g = class_marginal.log(), torch.zeros_like(class_marginal)
        for _ in range(count):
            f = -torch.logsumexp(log_kernel + g, dim=1, keepdim=True)
            g = log_b - torch.logsumexp(log_kernel + f, dim=0)
        return normalised(torch.softmax(log_kernel + g, dim=1), normalise)

    return lambda count, normalise: partial(run, count, normalise)


def _log_sweeps(log_kernel: Tensor, log_b: Tensor, g: Tensor, count: int) -> Tensor:
    for _ in range(count):
        f = -torch.logsumexp(log_kernel + g, dim=1, keepdim=True)
        g = log_b - torch.logsumexp(log_kernel + f, dim=0)
    return g


def compiled_log(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    """Sinkhorn in the log domain through inductor: graphs of five sweeps, and single ones for the rest."""
    # The code of another shape would be kept beside it, and after eight of them nothing is compiled any more.
    torch.compiler.reset()
    sweeps = torch.compile(_log_sweeps, dynamic=False, fullgraph=True)

    def run(count: int, normalise: bool) -> Tensor:
        log_b, g = class_marginal.log(), torch.zeros_like(class_marginal)
        for _ in range(count // COMPILED_SWEEPS):
            g = sweeps(log_kernel, log_b, g, COMPILED_SWEEPS)
        for _ in range(count % COMPILED_SWEEPS):
            g = sweeps(log_kernel, log_b, g, 1)
        return normalised(torch.softmax(log_kernel + g, dim=1), normalise)

    return lambda count, normalise: partial(run, count, normalise)


def probability_space(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    """Sinkhorn as in SwAV and DINO, with a class marginal: the matrix itself is divided, in place, by its sums."""

    def run(count: int, normalise: bool) -> Tensor:
        plan = log_kernel.exp()
        for _ in range(count):
            plan *= class_marginal / plan.sum(dim=0)
            plan /= plan.sum(dim=1, keepdim=True)
        return normalised(plan, normalise)

    return lambda count, normalise: partial(run, count, normalise)


def matvec_torch(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    """Sinkhorn by scalings: one exponential, then two products of matrix and vector a sweep."""

    def run(count: int, normalise: bool) -> Tensor:
        kernel = torch.softmax(log_kernel, dim=1)
        transposed = kernel.t()
        v = torch.ones_like(log_kernel[:, 0])
        for _ in range(count):
            u = class_marginal / torch.mv(transposed, v)
            v = torch.mv(kernel, u).reciprocal_()
        return normalised((kernel * u).mul_(v[:, None]), normalise)

    return lambda count, normalise: partial(run, count, normalise)


def matvec_numpy(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    """Sinkhorn by scalings on numpy views of the tensors, whose calls cost less than torch's."""
    import numpy as np

    def run(count: int, normalise: bool) -> Tensor:
        kernel, b = torch.softmax(log_kernel, dim=1).numpy(), class_marginal.numpy()
        transposed = kernel.T
        v, u, sums = np.ones(len(kernel), kernel.dtype), np.empty_like(b), np.empty_like(b)
        for _ in range(count):
            np.dot(transposed, v, out=sums)
            np.divide(b, sums, out=u)
            np.dot(kernel, u, out=v)
            np.divide(1.0, v, out=v)
        kernel *= u
        kernel *= v[:, None]
        return normalised(torch.from_numpy(kernel), normalise)

    return lambda count, normalise: partial(run, count, normalise)


def plain_sweeps(log_kernel: Tensor, class_marginal: Tensor, criterion: Criterion, *, most: int = 20_000) -> int:
    """Number of textbook sweeps until the criterion is met, in float64; ``most`` if that is not enough."""
    rows, b = log_kernel.double(), class_marginal.double()
    g = torch.zeros_like(b)
    for count in range(most):
        columns = torch.softmax(rows + g, dim=1).sum(dim=0)
        if criterion.error(columns, b) <= criterion.tolerance:
            return max(count, 1)
        g = g + (b / columns).log()
    return most
