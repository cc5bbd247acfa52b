"""Time of both ways in which ranks solve one transport problem, and the size at which the faster one changes.

    OMP_NUM_THREADS=1 python docs/benchmarks/transport_ranks.py

starts 2 and then 3 gloo processes on this machine and writes docs/results/transport-ranks.json. Both ways alternate in
one run. The rule in lt_callbacks/transport/held_rows.py takes its constants from `break_even`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from lt_callbacks import _files
from lt_callbacks.evaluation import hardware, versions
from lt_callbacks.transport import held_rows, sinkhorn

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("gather", "reduce")
NUM_RANKS = (2, 3)
NUM_SWEEPS = 20
#: Classes -> samples over all ranks.
SIZES = {10: (256, 4096, 16384, 65536), 100: (256, 4096, 8192, 16384), 1000: (256, 1024, 2048, 4096)}
#: (samples, classes, sweeps): how the balance moves with the number of sweeps.
OTHER_SWEEPS = ((1024, 100, 1), (1024, 100, 5), (1024, 100, 100), (2048, 1000, 1), (2048, 1000, 5))
SCALE = 3.0


def problem(num_rows: int, num_classes: int) -> tuple[Tensor, Tensor]:
    """A log kernel of the sharpness of trained models and a long-tailed marginal."""
    generator = torch.Generator().manual_seed(num_rows + num_classes)
    log_kernel = (SCALE * torch.randn(num_rows, num_classes, generator=generator)).log_softmax(dim=1)
    share = 100.0 ** (-torch.arange(num_classes) / (num_classes - 1))
    return log_kernel, num_rows * share / share.sum()


def run_rank(rank: int, num_ranks: int, folder: str, repeats: int) -> None:
    """All problems on one rank; the slowest rank's time is the problem's."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=num_ranks)
    group = dist.group.WORLD
    problems = [(n, c, NUM_SWEEPS) for c, sizes in SIZES.items() for n in sizes] + list(OTHER_SWEEPS)
    found = []
    for num_rows, num_classes, sweeps in problems:
        log_kernel, marginal = problem(num_rows, num_classes)
        own = log_kernel.tensor_split(num_ranks)[rank].contiguous()
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for repeat in range(repeats + 1):
            for way in WAYS if repeat % 2 else WAYS[::-1]:
                held_rows.FORCED = way
                dist.barrier()
                began = time.perf_counter()
                sinkhorn(own, marginal / num_ranks, tolerance=0.0, max_iterations=sweeps, process_group=group)
                took = torch.tensor([time.perf_counter() - began], dtype=torch.float64)
                dist.all_reduce(took, op=dist.ReduceOp.MAX)
                # The first of each is for warming up.
                if repeat:
                    seconds[way].append(took.item())
        held_rows.FORCED = None
        lengths = [len(part) for part in log_kernel.tensor_split(num_ranks)]
        reduces = held_rows.reducing_pays(lengths, num_classes, num_sweeps=sweeps, device=own.device)
        found.append(summary(num_ranks, num_rows, num_classes, sweeps, seconds, WAYS[int(reduces)]))
    if rank == 0:
        (Path(folder) / "cells.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def summary(
    num_ranks: int, num_rows: int, num_classes: int, sweeps: int, seconds: dict[str, list[float]], chosen: str
) -> dict[str, Any]:
    """Median and quartiles of each way, and the median of the paired ratio."""
    times: dict[str, Any] = {
        "num_ranks": num_ranks,
        "num_rows": num_rows,
        "num_classes": num_classes,
        "sweeps": sweeps,
        "entries_a_rank": num_rows * num_classes // num_ranks,
    }
    for way, values in seconds.items():
        quartiles = statistics.quantiles(values, n=4)
        times[way] = {
            "median_ms": round(1e3 * statistics.median(values), 3),
            "quartiles_ms": [round(1e3 * quartiles[0], 3), round(1e3 * quartiles[2], 3)],
        }
    pairs = [reduced / gathered for gathered, reduced in zip(*(seconds[way] for way in WAYS), strict=True)]
    quartiles = statistics.quantiles(pairs, n=4)
    times["reduce_over_gather"] = round(statistics.median(pairs), 3)
    times["reduce_over_gather_quartiles"] = [round(quartiles[0], 3), round(quartiles[2], 3)]
    times["chosen"] = chosen
    return times


def break_even(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries a rank at which the ratio first crosses 1, interpolated in logarithms; null where it does not cross."""
    found = []
    for num_ranks in NUM_RANKS:
        for num_classes in SIZES:
            points = [
                (math.log(times["entries_a_rank"]), math.log(times["reduce_over_gather"]))
                for times in measured
                if (times["num_ranks"], times["num_classes"], times["sweeps"]) == (num_ranks, num_classes, NUM_SWEEPS)
            ]
            crossings = [
                math.exp(x0 + (x1 - x0) * y0 / (y0 - y1))
                for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True)
                if y0 > 0 >= y1
            ]
            entries = round(crossings[0], -3) if crossings else None
            weighted = entries and round(entries * (1 + held_rows.ROW_ENTRIES / num_classes), -3)
            found.append(
                {
                    "num_ranks": num_ranks,
                    "num_classes": num_classes,
                    "entries_a_rank": entries,
                    "entries_a_rank_with_row_entries": weighted,
                }
            )
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "transport-ranks.json")
    arguments = parser.parse_args()
    load = os.getloadavg()
    measured: list[dict[str, Any]] = []
    for num_ranks in NUM_RANKS:
        with tempfile.TemporaryDirectory() as folder:
            mp.spawn(run_rank, args=(num_ranks, folder, arguments.repeats), nprocs=num_ranks)
            measured += json.loads((Path(folder) / "cells.json").read_text())
    content = {
        "format": "lt_callbacks benchmark",
        "format_version": 1,
        "command": f"OMP_NUM_THREADS=1 python docs/benchmarks/transport_ranks.py --repeats {arguments.repeats}",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": {
            "repeats": arguments.repeats,
            "tolerance": 0.0,
            "scale": SCALE,
            "backend": "gloo, all ranks on one machine, one thread each",
            "niceness": os.nice(0),
            "load_average_before": [round(value, 2) for value in load],
            "load_average_after": [round(value, 2) for value in os.getloadavg()],
            "row_entries": held_rows.ROW_ENTRIES,
            "entries_to_reduce": held_rows.ENTRIES_TO_REDUCE,
        },
        "hardware": hardware(),
        "versions": versions(),
        "break_even": break_even(measured),
        "cells": measured,
    }
    _files.write_json(arguments.output, content)
    for times in measured:
        sys.stdout.write(
            f"{times['num_ranks']} ranks, {times['num_rows']:>6} x {times['num_classes']:>4}, "
            f"{times['sweeps']:>3} sweeps: "
            f"gather {times['gather']['median_ms']:>8.1f} ms, reduce {times['reduce']['median_ms']:>8.1f} ms, "
            f"ratio {times['reduce_over_gather']:.2f} {times['reduce_over_gather_quartiles']}, {times['chosen']}\n"
        )
    for row in content["break_even"]:
        sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
