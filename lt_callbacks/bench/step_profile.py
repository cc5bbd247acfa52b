"""Where the time of a D-SINK step goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

#: Parts of a step, in the order of the table; the rest is what none of them holds.
PARTS = ("student forward", "teachers", "transport, labels, loss", "backward", "optimiser", "rest")


def profile_step(
    step: Callable[[], object],
    *,
    steps: int,
    device: str,
    network: nn.Module,
    dsink: Any,
    optimizer: torch.optim.Optimizer,
) -> dict[str, dict[str, float]]:
    """Median milliseconds and share of each part of a step, from marks around the calls of the real step.

    On a GPU the marks are CUDA events, which the host does not wait for within a step.

    Args:
        step: Makes one step.
        steps: How many are looked at, after two that are not.
        device: ``"cpu"`` or ``"cuda"``.
        network: The student.
        dsink: The attached `lt_callbacks.DSink` with teachers that are called.
        optimizer: The student's.
    """
    seen: dict[str, list[float]] = {part: [] for part in (*PARTS, "step")}
    with ExitStack() as marks:
        spans: dict[str, list[tuple[Any, Any]]] = {}

        def watch(owner: Any, name: str, part: str) -> None:
            marks.enter_context(_watched(owner, name, spans.setdefault(part, []), device))

        watch(network, "forward", "student forward")
        for teacher in (dsink.noise_teacher, dsink.imbalance_teacher):
            watch(teacher, "predictions", "teachers")
        watch(dsink, "loss", "dsink")
        watch(optimizer, "step", "optimiser")
        watch(Tensor, "backward", "backward")
        for position in range(steps + 2):
            for found in spans.values():
                found.clear()
            begin = _mark(device)
            step()
            end = _mark(device)
            if device == "cuda":
                torch.cuda.synchronize()
            if position < 2:
                continue
            took = {part: sum(_between(a, b) for a, b in pairs) for part, pairs in spans.items()}
            took["transport, labels, loss"] = took.pop("dsink") - took["teachers"]
            whole = _between(begin, end)
            took["rest"] = whole - sum(took.values())
            for part, value in {**took, "step": whole}.items():
                seen[part].append(value)
    medians = {part: statistics.median(values) for part, values in seen.items()}
    # Of the parts' own sum: medians of parts need not add up to the median of the whole.
    total = sum(medians[part] for part in PARTS)
    return {
        part: {"median_ms": round(1e3 * value, 4), "share": round(1.0 if part == "step" else value / total, 4)}
        for part, value in medians.items()
    }


def write_trace(step: Callable[[], object], path: Path, *, device: str) -> None:
    """Write a trace of three steps that chrome://tracing and Perfetto show."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    step()
    path.parent.mkdir(parents=True, exist_ok=True)
    with profile(activities=kinds) as profiler:
        for _ in range(3):
            step()
    profiler.export_chrome_trace(str(path))


@contextmanager
def _watched(owner: Any, name: str, spans: list[tuple[Any, Any]], device: str) -> Iterator[None]:
    """Note when each call of ``owner.name`` begins and ends."""
    is_own = name in vars(owner)
    original = getattr(owner, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        begin = _mark(device)
        try:
            return original(*args, **kwargs)
        finally:
            spans.append((begin, _mark(device)))

    setattr(owner, name, noted)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


def _mark(device: str) -> Any:
    if device != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(begin: Any, end: Any) -> float:
    """Seconds between two marks."""
    return end - begin if isinstance(begin, float) else begin.elapsed_time(end) / 1e3
