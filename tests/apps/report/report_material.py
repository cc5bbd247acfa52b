"""Material of reports without folders on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.apps.report.material import Material
from lt_callbacks.evaluation import pool_results

BASE = Path("/runs/grid")


def material(documents, *, jobs=None, group_by=(), output=BASE / "report"):
    return Material(
        comparison=pool_results(documents, group_by=group_by),
        documents=documents,
        jobs={BASE / name: job for name, job in (jobs or {}).items()},
        base=BASE,
        output=output,
        group_by=group_by,
    )


def job(status, **changes):
    made = JobRecord(command="lt-train", hash="0", status=status, overrides=["seed=1"], config={}, started="2026-11-21")
    return replace(made, **changes)


def of(kind, blocks):
    return [block for block in blocks if isinstance(block, kind)]
