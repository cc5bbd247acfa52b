"""Peak memory of a solver: on the CPU that of a process of its own, on a GPU what torch's allocator says."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lt_callbacks.bench.problems import Criterion, Problem, kernel_and_marginal, parse_problem

#: Sweeps: memory does not depend on their number.
SWEEPS = 5

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(
    problem: Problem,
    solvers: Sequence[str],
    *,
    device: str,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Peak MiB of one solution of a problem by each solver, above what was held before it (the problem included).

    Args:
        problem: What is solved.
        solvers: Their names.
        device: ``"cpu"`` or ``"cuda"``.
        seed: Of the problem.
        say: Is told what is going on.
    """
    rows: dict[str, Any] = {}
    for name in solvers:
        say(f"{problem.name}: memory of {name}")
        asked = {"problem": problem.name, "solver": name, "device": device, "seed": seed}
        rows[name] = in_own_process("lt_callbacks.bench.memory", asked)
    return {
        "num_rows": problem.num_rows,
        "num_classes": problem.num_classes,
        "problem_mib": round(4 * problem.num_rows * problem.num_classes / 2**20, 3),
        "memory": rows,
    }


def in_own_process(module: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Run ``python -m module JSON`` and return the ``peak_mib`` that it prints last, or why it is ``not_measured``."""
    # Blocks that are freed go back to the system at once, so that the next peak starts from what is held.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", module, json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"not_measured": last[0]}
    return {"peak_mib": json.loads(done.stdout.splitlines()[-1])}


def measure_here(problem: Problem, solver_name: str, *, device: str, seed: int) -> float:
    """Peak MiB of one solution in this process, which should do nothing else."""
    from lt_callbacks.bench.measure import solvers_for

    # Never met, so that all sweeps run; at 0 our own solver takes another road.
    solvers, _ = solvers_for(device, Criterion(tolerance=1e-30), [solver_name])
    solver = next(solver for solver in solvers if solver.name == solver_name)

    log_kernel, marginal = (tensor.to(device) for tensor in kernel_and_marginal(problem, seed=seed))
    run = solver.at(log_kernel, marginal)(SWEEPS, False)
    # What a first call loads or compiles is not memory of the solution.
    run()
    return cuda_peak_of(run) if device == "cuda" else peak_of(run)


def cuda_peak_of(action: Callable[[], object]) -> float:
    """Peak MiB that torch's allocator holds on a GPU while an action runs, above what it held before."""
    import torch

    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    action()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - held) / 2**20


def peak_of(action: Callable[[], object]) -> float:
    """Peak MiB by which this process grows while an action runs on the CPU."""
    before = _held_mib()
    action()
    return max(_peak_mib() - before, 0.0)


def _held_mib() -> float:
    """Resident MiB now; where the system allows it, the peak is set back to it."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")
        return _status_mib("VmRSS")
    return _peak_mib()


def _peak_mib() -> float:
    if _CLEAR.exists():
        return _status_mib("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _status_mib(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 2**10


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = json.loads(sys.argv[1])
    mib = measure_here(parse_problem(asked["problem"]), asked["solver"], device=asked["device"], seed=asked["seed"])
    sys.stdout.write(f"\n{json.dumps(round(mib, 3))}\n")
