"""`lt-bench scaling`: how time and memory of the solvers grow with rows, classes and sharpness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.measure import measure, solvers_for
from lt_callbacks.bench.memory import peak_memory
from lt_callbacks.bench.problems import Criterion, Problem
from lt_callbacks.bench.timing import TimingPlan
from lt_callbacks.bench.transport import common_settings

#: The best peers of the full table, and the naive loop.
COMPARED = (
    "ours",
    "POT sinkhorn numpy",
    "POT sinkhorn torch",
    "OTT kernel momentum",
    "OTT lse anderson",
    "matvec",
    "naive log-domain",
)
RELATIVE, TOTAL_VARIATION = Criterion(), Criterion(kind="total_variation")

#: Sweeps after which D-SINK's solver stops in training, see `lt_callbacks.DSink`.
DEFAULT_LIMIT = 100


@dataclass(frozen=True)
class Axis:
    """A series of problems in which one thing grows; a figure each.

    Attributes:
        title: Of the horizontal axis.
        problems: Problem at each point, by its place on the axis.
        criterion: What has to be met; None: memory is measured, not time.
    """

    title: str
    problems: dict[float, Problem]
    criterion: Criterion | None = RELATIVE


_SHARPNESS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_MEMORY = ((128, 100), (512, 100), (1024, 250), (1024, 1000), (4096, 1000), (8192, 2000))

AXES: dict[str, Axis] = {
    "rows": Axis("rows N, at C = 100, s = 3", {n: Problem("corr", n, 100, 3.0) for n in (64, 256, 1024, 4096, 8192)}),
    "classes": Axis(
        "classes C, at N = 256, s = 3", {c: Problem("corr", 256, c, 3.0) for c in (10, 32, 100, 365, 1000, 2048, 8192)}
    ),
    "sharpness": Axis("sharpness s, at 128 x 100", {s: Problem("corr", 128, 100, s) for s in _SHARPNESS}),
    "sharpness-tv": Axis(
        "sharpness s, at 128 x 100, total variation",
        {s: Problem("corr", 128, 100, s) for s in _SHARPNESS},
        TOTAL_VARIATION,
    ),
    "memory": Axis("entries N x C, s = 3", {n * c: Problem("corr", n, c, 3.0) for n, c in _MEMORY}, None),
}


def run(
    names: Sequence[str],
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    seed: int = 0,
    only: Sequence[str] = (),
    search_seconds: float = 60.0,
    points: Sequence[float] = (),
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Measure time or memory at the points of these axes that the document in ``output`` lacks.

    Args:
        names: Of `AXES`.
        plan: How times are taken.
        output: Folder of the document.
        command: As typed.
        seed: Of the problems.
        only: Solvers whose names begin with one of these; none: `COMPARED`.
        search_seconds: See `lt_callbacks.bench.measure.measure`.
        points: Places on the axes; none: all.
        say: Is told what is going on.
    """
    chosen = tuple(only) or COMPARED
    if only:
        solvers_for(plan.device, RELATIVE, only)
    document = BenchDocument(
        output / "bench-scaling.json",
        kind="scaling",
        settings=common_settings(plan, seed=seed, only=only, search_seconds=search_seconds),
        command=command,
    )
    installed, _ = solvers_for(plan.device, RELATIVE)
    present = [part for part in chosen if any(solver.name.startswith(part) for solver in installed)]
    for axis_name in names:
        axis = AXES[axis_name]
        for place, problem in axis.problems.items():
            name = f"{axis_name}:{place:g}"
            if points and place not in points:
                continue
            if name in document.measurements:
                say(f"{name}: kept from {document.path.name}")
                continue
            if axis.criterion is None:
                solvers = [solver.name for solver in installed if solver.name.startswith(tuple(present))]
                found = peak_memory(problem, solvers, device=plan.device, seed=seed, say=say)
            else:
                found = measure(
                    problem,
                    plan,
                    criterion=axis.criterion,
                    seed=seed,
                    only=present,
                    search_seconds=search_seconds,
                    default_limit=DEFAULT_LIMIT if axis.criterion is TOTAL_VARIATION else None,
                    say=say,
                )
            document.add(name, {"axis": axis_name, "place": place, **found})
    return document
