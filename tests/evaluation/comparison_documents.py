"""Small result documents that differ in their settings, as the jobs of a sweep leave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from made_results import method_result

from lt_callbacks.evaluation import Comparison, ResultDocument, pool_results

#: Method -> what it adds to the accuracy of CE at every setting.
METHODS = {"CE": 0.0, "f_L alone": 2.0, "f_N alone": 4.0, "D-SINK": 7.0}


def settings(ratio: float = 0.4, factor: float = 10.0, **changes: Any) -> dict[str, Any]:
    """Nested settings of a run; ``changes`` replace whole groups."""
    made: dict[str, Any] = {
        "data": {"name": "digits", "root": None},
        "imbalance": {"profile": "exponential", "factor": factor},
        "noise": {"kind": "symmetric" if ratio else "none", "ratio": ratio},
        "dsink": {"alpha": 10.0},
        "corruption_seed": None,
    }
    return {**made, **changes}


def document(settings: Mapping[str, Any], results: Iterable[Any]) -> ResultDocument:
    """As `read_result` gives it."""
    results = tuple(results)
    run = {
        "command": "lt-train -m",
        "date": "2026-11-21T10:20:30+00:00",
        "hardware": {"cpu": "a cpu", "num_cores": 2, "system": "Linux", "gpus": []},
        "versions": {"python": "3.11", "torch": "2.9"},
    }
    return ResultDocument(
        settings=dict(settings), notes=None, runs=(run,), results=results, result_runs=(0,) * len(results)
    )


def accuracy_of(method: str, ratio: float, factor: float, seed: int) -> float:
    """Made up: D-SINK's gain varies over seeds by less than its size, f_L's by more."""
    shake = {"f_L alone": 3.0, "D-SINK": 0.5}.get(method, 0.0) * (seed % 3 - 1)
    return 80.0 - 40.0 * ratio - 0.1 * factor + seed + METHODS[method] + shake


def sweep(
    ratios: Iterable[float] = (0.2, 0.4),
    factors: Iterable[float] = (10.0, 100.0),
    seeds: Iterable[int] = (0, 1, 2),
    methods: Iterable[str] = tuple(METHODS),
    **changes: Any,
) -> dict[str, ResultDocument]:
    """One document a job, one seed a job; keyword arguments are changes of the settings."""
    return {
        f"{ratio}-{factor}-{seed}/metrics.json": document(
            settings(ratio, factor, **changes),
            [method_result(method, seed, accuracy_of(method, ratio, factor, seed)) for method in methods],
        )
        for ratio in ratios
        for factor in factors
        for seed in seeds
    }


def comparison(**options: Any) -> Comparison:
    """The pooled results of `sweep`."""
    return pool_results(sweep(**options))
