"""Times of several ways to do one thing, side by side: they take turns in one process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

Action = Callable[[], object]

#: No competitor is told by fewer samples than these, whatever its time limit.
FEWEST_SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class TimingPlan:
    """How competitors are timed side by side: rounds, length of a sample, limit, device.

    Attributes:
        rounds: Samples of each competitor; in every round each has one turn, and who begins moves on.
        sample_seconds: A sample repeats its call until it lasts at least so long.
        limit_seconds: A competitor that has used so much time sits out from then on, but has at least
            `FEWEST_SAMPLES` samples.
        device: ``"cpu"``: the process's clock; ``"cuda"``: CUDA events, with the host waiting outside of them.
    """

    rounds: int = 15
    sample_seconds: float = 0.02
    limit_seconds: float = 30.0
    device: str = "cpu"


def interleaved(competitors: Mapping[str, Action], plan: TimingPlan) -> dict[str, list[float]]:
    """Seconds a call of each competitor, one number a sample, in the order of the rounds.

    Each is called before the timing starts: once to warm up, and then to find how many calls fill a sample. The garbage
    collector runs before the first round and is off until the last has ended.
    """
    timer = _cuda_seconds if plan.device == "cuda" else _host_seconds
    names = list(competitors)
    calls: dict[str, int] = {}
    for name in names:
        competitors[name]()
        calls[name] = _calls_a_sample(competitors[name], timer, plan.sample_seconds)
    samples: dict[str, list[float]] = {name: [] for name in names}
    used = dict.fromkeys(names, 0.0)
    gc.collect()
    with _collector_off():
        for turn in range(plan.rounds):
            shift = turn % max(len(names), 1)
            for name in names[shift:] + names[:shift]:
                if used[name] > plan.limit_seconds and len(samples[name]) >= FEWEST_SAMPLES:
                    continue
                took = timer(competitors[name], calls[name])
                used[name] += took
                samples[name].append(took / calls[name])
    return samples


def summary(samples: list[float], *, digits: int = 6) -> dict[str, Any]:
    """Median, quartiles and minimum in milliseconds, and the number of samples."""
    lower, upper = samples[0], samples[0]
    if len(samples) > 1:
        lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return {
        "median_ms": _rounded(statistics.median(samples), digits),
        "quartiles_ms": [_rounded(lower, digits), _rounded(upper, digits)],
        "min_ms": _rounded(min(samples), digits),
        "num_samples": len(samples),
    }


def ratio(above: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, float]:
    """How many times longer ``above`` takes than ``below``, by medians and by minima of one run's `summary`."""
    return {
        "by_median": round(above["median_ms"] / below["median_ms"], 3),
        "by_min": round(above["min_ms"] / below["min_ms"], 3),
    }


def _rounded(seconds: float, digits: int) -> float:
    return float(f"{1e3 * seconds:.{digits}g}")


def _calls_a_sample(action: Action, timer: Callable[[Action, int], float], sample_seconds: float) -> int:
    calls = 1
    while True:
        took = timer(action, calls)
        if took >= sample_seconds:
            return calls
        # At most tenfold, as the first measured calls are slow ones; a tenth more than needed, as later ones are fast.
        calls = max(calls + 1, min(10 * calls, int(1.1 * calls * sample_seconds / max(took, 1e-9)) + 1))


def _host_seconds(action: Action, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        action()
    return time.perf_counter() - began


def _cuda_seconds(action: Action, calls: int) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(calls):
        action()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


@contextmanager
def _collector_off() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
