"""How many threads the timed libraries may use: they read it from the environment when they are loaded."""

from __future__ import annotations

import os
import sys
from typing import Any

_BLAS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def limit_threads(num_threads: int, *, device: str) -> None:
    """Set how many threads libraries may use: those that are not loaded yet by the environment, torch by its own call.

    Call it before torch, numpy or JAX are imported; of those that were, BLAS pools are resized but XLA's stays.
    """
    for name in _BLAS:
        os.environ[name] = str(num_threads)
    has_many = "true" if num_threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={has_many} intra_op_parallelism_threads={num_threads}"
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    else:
        # JAX would otherwise take three quarters of the device's memory from torch.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ["GEOMLOSS_QUIET"] = "1"
    _resize_pools(num_threads)


def _resize_pools(num_threads: int) -> None:
    """Resize the pools of libraries that were loaded before, as in a process that has already computed something."""
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(num_threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(num_threads)


def threads_in_use() -> dict[str, Any]:
    """How many threads torch has, and each pool that numpy and its like have loaded: name of the library -> number."""
    import torch
    from threadpoolctl import threadpool_info

    pools = {str(pool["internal_api"]): int(pool["num_threads"]) for pool in threadpool_info()}
    return {"torch": torch.get_num_threads(), **dict(sorted(pools.items()))}
