"""`lt-bench transport`: time to the same accuracy, of this package's solver and of its peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.measure import LIMIT, measure, solvers_for
from lt_callbacks.bench.problems import ROUNDING, ROW_TOLERANCE, Criterion, Problem
from lt_callbacks.bench.timing import TimingPlan


def run(
    problems: Sequence[Problem],
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    seed: int = 0,
    only: Sequence[str] = (),
    search_seconds: float = 60.0,
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Time all solvers on the problems that the document in ``output`` lacks, to a relative column error of 1e-3."""
    criterion = Criterion()
    solvers_for(plan.device, criterion, only)
    settings = {
        **common_settings(plan, seed=seed, only=only, search_seconds=search_seconds),
        "criterion": vars(criterion),
    }
    document = BenchDocument(output / "bench-transport.json", kind="transport", settings=settings, command=command)
    for problem in problems:
        if problem.name in document.measurements:
            say(f"{problem.name}: kept from {document.path.name}")
            continue
        found = measure(
            problem, plan, criterion=criterion, seed=seed, only=only, search_seconds=search_seconds, say=say
        )
        document.add(problem.name, found)
    return document


def common_settings(plan: TimingPlan, *, seed: int, only: Sequence[str], search_seconds: float) -> dict[str, Any]:
    """What all measurements of a document of solvers have in common, whatever their criterion."""
    return {
        **vars(plan),
        "seed": seed,
        "only": sorted(only),
        "search_seconds": search_seconds,
        "rounding": ROUNDING,
        "row_tolerance": ROW_TOLERANCE,
        "limit": LIMIT,
        "dtype": "float32",
    }
