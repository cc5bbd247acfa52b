"""Time and memory of streaming logits into ADSA's estimator, beside what it costs to make up the logits.

    python docs/benchmarks/adsa_streaming.py

feeds a million rows of a thousand classes (4 GB of float32, never held at once) in batches, and writes
docs/results/adsa-streaming.json. One thread: OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from lt_callbacks import _files
from lt_callbacks.adsa import TauEstimator, fit_tau
from lt_callbacks.evaluation import hardware, versions

ROOT = Path(__file__).resolve().parents[2]


def measure(*, num_rows: int, num_classes: int, batch_size: int, imbalance_factor: float, seed: int) -> dict[str, Any]:
    """Seconds and peak memory of one pass over ``num_rows`` random rows."""
    generator = torch.Generator().manual_seed(seed)
    prior = imbalance_factor ** (-torch.arange(num_classes) / (num_classes - 1))
    bias = (prior / prior.sum()).log()
    estimator = TauEstimator(prior)
    # What a first call loads is not memory of the stream; three classes leave its peak where it was.
    fit_tau(torch.eye(3).repeat(5, 1), torch.arange(15) % 3, [3, 2, 1])
    before, seconds = _peak_mib(), {"generate": 0.0, "update": 0.0, "compute": 0.0}
    for start in range(0, num_rows, batch_size):
        began = time.perf_counter()
        rows = torch.arange(start, min(start + batch_size, num_rows))
        intended = rows % num_classes
        logits = torch.randn(len(rows), num_classes, generator=generator).add_(bias)
        logits[torch.arange(len(rows)), intended] += 4.0
        made = time.perf_counter()
        estimator.update(logits, intended)
        seconds["generate"] += made - began
        seconds["update"] += time.perf_counter() - made
    began = time.perf_counter()
    fit = estimator.compute()
    seconds["compute"] = time.perf_counter() - began
    return {
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "update_over_generate": round(seconds["update"] / seconds["generate"], 3),
        "microseconds_per_row": round(1e6 * seconds["update"] / num_rows, 3),
        "logits_mib": round(4 * num_rows * num_classes / 2**20, 1),
        "state_mib": round(sum(state.numel() * 8 for state in estimator.metric_state.values()) / 2**20, 3),
        "peak_rss_mib_before": round(before, 1),
        "peak_rss_mib_after": round(_peak_mib(), 1),
        "num_nodes": estimator.curves.shape[2],
        "tau": fit.tau,
        "interval": fit.interval,
    }


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-rows", type=int, default=1_000_000)
    parser.add_argument("--num-classes", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--imbalance-factor", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "adsa-streaming.json")
    arguments = parser.parse_args()
    settings = {name: value for name, value in vars(arguments).items() if name != "output"}
    flags = "".join(
        f" --{name.replace('_', '-')} {value}" for name, value in settings.items() if value != parser.get_default(name)
    )
    measured = measure(**settings)
    content = {
        "format": "lt_callbacks benchmark",
        "format_version": 1,
        "command": f"OMP_NUM_THREADS={torch.get_num_threads()} python docs/benchmarks/adsa_streaming.py{flags}",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": {**settings, "num_threads": torch.get_num_threads(), "dtype": "float32"},
        "hardware": hardware(),
        "versions": versions(),
        "measured": measured,
    }
    _files.write_json(arguments.output, content)
    for name, value in measured.items():
        sys.stdout.write(f"{name}: {value}\n")


if __name__ == "__main__":
    main()
