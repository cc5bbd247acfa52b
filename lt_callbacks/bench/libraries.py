"""Published solvers, each called in the way that suits it best; those that are not installed are left out."""

from __future__ import annotations

import warnings
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks.bench.solvers import AtCount, Solver, normalised


def library_solvers(*, device: str) -> list[Solver]:
    """The solvers of all installed libraries that run on a device."""
    found: list[Solver] = []
    if find_spec("ot"):
        found += _pot(device)
    if find_spec("geomloss"):
        # Annealed and symmetrised, it needs many more iterations than sweeps of Sinkhorn.
        found.append(Solver(name="GeomLoss solve", group="library", at=_geomloss, is_plain=False, most=10.0))
    if find_spec("ott") and find_spec("jax") and _jax_has(device):
        found += _ott()
    return found


# POT: the last half-sweep is that of the first marginal, here the rows.


def _pot(device: str) -> list[Solver]:
    names = ("sinkhorn", "sinkhorn_log", "sinkhorn_stabilized")
    backends = ("torch", "numpy") if device == "cpu" else ("torch",)
    found = [
        Solver(name=f"POT {name} {backend}", group="library", at=partial(_pot_at, name=name, backend=backend))
        for name in names
        for backend in backends
    ]
    for space in ("exp", "log"):
        found.append(Solver(name=f"POT batch {space} torch", group="library", at=partial(_pot_batch, space=space)))
    return found


def _pot_at(log_kernel: Tensor, class_marginal: Tensor, *, name: str, backend: str) -> AtCount:
    from ot import bregman

    solve = {
        "sinkhorn": bregman.sinkhorn_knopp,
        "sinkhorn_log": bregman.sinkhorn_log,
        "sinkhorn_stabilized": bregman.sinkhorn_stabilized,
    }[name]
    ones, cost = torch.ones_like(log_kernel[:, 0]), -log_kernel

    def run(count: int, normalise: bool) -> Tensor:
        given: tuple[Any, ...] = (ones, class_marginal, cost)
        if backend == "numpy":
            given = tuple(tensor.numpy() for tensor in given)
        plan = solve(*given, 1.0, numItermax=count, stopThr=0.0, warn=False)
        return normalised(torch.from_numpy(plan) if backend == "numpy" else plan, normalise)

    return lambda count, normalise: partial(run, count, normalise)


def _pot_batch(log_kernel: Tensor, class_marginal: Tensor, *, space: str) -> AtCount:
    from ot.batch import bregman_log_projection_batch, bregman_projection_batch

    ones = torch.ones_like(log_kernel[:, 0])[None]

    def run(count: int, normalise: bool) -> Tensor:
        # Classes first: the second marginal is the one that is met last.
        if space == "exp":
            kernel = log_kernel.t().exp()[None]
            plan = bregman_projection_batch(kernel, class_marginal[None], ones, max_iter=count, tol=-1.0)["T"]
        else:
            kernel = log_kernel.t()[None]
            plan = bregman_log_projection_batch(kernel, class_marginal[None], ones, max_iter=count, tol=-1.0)["T"]
        return normalised(plan[0].t(), normalise)

    return lambda count, normalise: partial(run, count, normalise)


def _geomloss(log_kernel: Tensor, class_marginal: Tensor) -> AtCount:
    from geomloss import ot

    num_rows, cost = len(log_kernel), -log_kernel
    ones, b = torch.full_like(log_kernel[:, 0], 1 / num_rows), class_marginal / num_rows

    def run(count: int, normalise: bool) -> Tensor:
        plan = ot.solve(cost, reg=1.0, a=ones, b=b, max_iter=count).plan * num_rows
        return normalised(plan, normalise)

    return lambda count, normalise: partial(run, count, normalise)


# OTT-JAX: compiled for a number of iterations, with one evaluation of the error at the end, which it cannot leave out.

_OTT_KINDS = ("kernel", "lse", "lse momentum", "lse anderson", "kernel momentum")


def _jax_has(device: str) -> bool:
    if device == "cpu":
        return True
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def _ott() -> list[Solver]:
    return [
        Solver(
            name=f"OTT {kind}",
            group="library",
            at=partial(_ott_at, kind=kind, copies=True),
            bare_at=partial(_ott_at, kind=kind, copies=False),
            is_plain=kind in ("kernel", "lse"),
        )
        for kind in _OTT_KINDS
    ]


def _ott_at(log_kernel: Tensor, class_marginal: Tensor, *, kind: str, copies: bool) -> AtCount:
    import jax

    given = (log_kernel, class_marginal)
    # The view of JAX's result may not be written to, which torch says once and nobody here does.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    held = [jax.dlpack.from_dlpack(tensor.clone()) for tensor in given]

    def run(solve: Any) -> Tensor:
        if log_kernel.device.type == "cpu":
            # Numpy views are handed over in a third to two thirds of DLPack's time at all sizes of the table.
            return torch.from_numpy(np.asarray(solve(*(tensor.numpy() for tensor in given))))
        return torch.from_dlpack(solve(*map(jax.dlpack.from_dlpack, given)).block_until_ready())

    def run_bare(solve: Any) -> Any:
        return solve(*held).block_until_ready()

    return lambda count, normalise: partial(run if copies else run_bare, _ott_compiled(kind, count, normalise))


@lru_cache(maxsize=64)
def _ott_compiled(kind: str, count: int, normalise: bool) -> Any:
    import jax
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    settings: dict[str, Any] = {"implicit_diff": None}
    if kind.endswith("momentum"):
        settings["momentum"] = acceleration.Momentum(value=1.5)  # type: ignore[call-arg]
    if kind.endswith("anderson"):
        # It insists on implicit differentiation, of which a forward pass does nothing.
        memory: Any = acceleration.AndersonAcceleration
        settings = {"anderson": memory(memory=5, refresh_every=1, ridge_identity=1e-6)}
    solver = sinkhorn.Sinkhorn(
        lse_mode=kind.startswith("lse"),
        threshold=-1.0,
        min_iterations=count,
        max_iterations=count,
        inner_iterations=count,
        **settings,
    )

    @jax.jit
    def solve(log_kernel: Any, class_marginal: Any) -> Any:
        num_rows = log_kernel.shape[0]
        geom = geometry.Geometry(cost_matrix=-log_kernel, epsilon=1.0)
        # Without weights the rows' are uniform.
        plan = solver(linear_problem.LinearProblem(geom, b=class_marginal / num_rows)).matrix * num_rows
        return plan / plan.sum(axis=1, keepdims=True) if normalise else plan

    return solve
