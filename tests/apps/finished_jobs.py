"""Folders as a sweep of `lt-train` leaves them, without training anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from comparison_documents import METHODS, accuracy_of, settings
from made_results import method_result

from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.evaluation import write_result


def write_job(folder: Path, *, status: str = "done", error: str | None = None, overrides: Iterable[str] = ()) -> Path:
    """The record of a job, and a log."""
    folder.mkdir(parents=True, exist_ok=True)
    record = JobRecord(
        command="lt-train",
        hash="0" * 64,
        status=status,
        overrides=list(overrides),
        config={},
        started="2026-11-21T10:20:30+00:00",
        seconds=None if status == "running" else 12.0,
        error=error,
    )
    record.write(folder)
    (folder / "job.log").write_text("what it said\n")
    return folder


def write_run(
    folder: Path, ratio: float, factor: float, seed: int, *, methods: Iterable[str] = tuple(METHODS), **changes: Any
) -> Path:
    """A finished run of one seed."""
    results = [
        method_result(
            method,
            seed,
            accuracy_of(method, ratio, factor, seed),
            extra={"teachers": {"noise": {"seconds": 3.0, "reused": seed > 0}}} if method == "D-SINK" else {},
        )
        for method in methods
    ]
    write_result(
        folder / "metrics.json", command="lt-train -m", settings=settings(ratio, factor, **changes), results=results
    )
    return folder


def write_sweep(
    root: Path,
    ratios: Iterable[float] = (0.2, 0.4),
    factors: Iterable[float] = (10.0, 100.0),
    seeds: Iterable[int] = (0, 1, 2),
    **options: Any,
) -> Path:
    """One folder a job."""
    for ratio in ratios:
        for factor in factors:
            for seed in seeds:
                overrides = [f"noise.ratio={ratio}", f"imbalance.factor={factor}", f"seed={seed}"]
                folder = write_run(root / ",".join(overrides), ratio, factor, seed, **options)
                write_job(folder, overrides=overrides)
    return root
