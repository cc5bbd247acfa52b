"""`lt-bench adsa`: the streaming fit of tau beside a search over a grid as the paper would be coded."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_callbacks.adsa import TauEstimator
from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.memory import cuda_peak_of, in_own_process, peak_of
from lt_callbacks.bench.timing import TimingPlan, interleaved, ratio, summary

STREAMING, LOOP, HELD = "streaming", "grid loop over batches", "grid over held logits"
WAYS = (STREAMING, LOOP, HELD)

#: Batches that a stream of any length goes round: its logits are not held.
NUM_HELD = 8
#: Logits are raised at the intended class, and lean to frequent classes.
RAISED = 4.0


@dataclass(frozen=True)
class Stream:
    """Logits of distilled images, in batches.

    Attributes:
        num_images: Over all batches.
        num_classes: C.
        batch_size: B.
        step: Of the grid; the estimator has none.
        imbalance_factor: Largest over smallest class of the prior.
        device: ``"cpu"`` or ``"cuda"``.
        seed: Of the logits.
    """

    num_images: int
    num_classes: int
    batch_size: int = 1024
    step: float = 0.01
    imbalance_factor: float = 100.0
    device: str = "cpu"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name in tables: ``10000 x 100``."""
        return f"{self.num_images} x {self.num_classes}"

    @property
    def prior(self) -> Tensor:
        """Class frequencies, (C,) float64 with sum 1."""
        places = torch.arange(self.num_classes, dtype=torch.float64) / (self.num_classes - 1)
        return self.imbalance_factor**-places / (self.imbalance_factor**-places).sum()

    def held(self) -> list[tuple[Tensor, Tensor]]:
        """The few batches that the stream goes round: (B, C) logits and (B,) intended classes."""
        generator = torch.Generator().manual_seed(self.seed)
        found = []
        for position in range(min(NUM_HELD, -(-self.num_images // self.batch_size))):
            intended = (torch.arange(self.batch_size) + position * self.batch_size) % self.num_classes
            logits = torch.randn(self.batch_size, self.num_classes, generator=generator).add_(self.prior.log().float())
            logits[torch.arange(self.batch_size), intended] += RAISED
            found.append((logits.to(self.device), intended.to(self.device)))
        return found

    def batches(self, held: Sequence[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches of the stream, in order; ``held`` are those of `held`."""
        for start in range(0, self.num_images, self.batch_size):
            logits, intended = held[start // self.batch_size % len(held)]
            count = min(self.batch_size, self.num_images - start)
            yield logits[:count], intended[:count]


def fit_streaming(stream: Stream, held: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Fit tau with `TauEstimator`: one pass over the batches, memory that does not grow."""
    estimator = TauEstimator(stream.prior).to(stream.device)
    for logits, intended in stream.batches(held):
        estimator.update(logits, intended)
    return estimator.compute().tau


def fit_loop(stream: Stream, held: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Search tau on a grid with a pass over the batches for each value, reading sums on the host after each batch."""
    log_prior = _centred(stream)
    best, best_tau = float("inf"), 0.0
    for tau in _grid(stream):
        sums, counts = [0.0] * stream.num_classes, [0] * stream.num_classes
        for logits, intended in stream.batches(held):
            found = _intended_probs(logits, intended, log_prior, tau)
            total = torch.zeros(stream.num_classes, device=stream.device).index_add_(0, intended, found)
            number = torch.bincount(intended, minlength=stream.num_classes)
            sums = [before + value for before, value in zip(sums, total.tolist(), strict=True)]
            counts = [before + value for before, value in zip(counts, number.tolist(), strict=True)]
        means = torch.tensor(sums) / torch.tensor(counts)
        spread = means.std(correction=0).item()
        if spread < best:
            best, best_tau = spread, tau
    return best_tau


def fit_held(stream: Stream, held: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Search tau on a grid with all logits held at once, a softmax of the whole for each value."""
    parts = list(stream.batches(held))
    logits, intended = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    log_prior = _centred(stream)
    counts = torch.bincount(intended, minlength=stream.num_classes)
    best, best_tau = float("inf"), 0.0
    for tau in _grid(stream):
        found = _intended_probs(logits, intended, log_prior, tau)
        total = torch.zeros(stream.num_classes, device=stream.device).index_add_(0, intended, found)
        spread = (total / counts).std(correction=0).item()
        if spread < best:
            best, best_tau = spread, tau
    return best_tau


_FITS: dict[str, Callable[[Stream, Sequence[tuple[Tensor, Tensor]]], float]] = {
    STREAMING: fit_streaming,
    LOOP: fit_loop,
    HELD: fit_held,
}


def run(
    streams: Sequence[Stream],
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Fit tau on the streams that the document in ``output`` lacks, on the plan's device."""
    common = {name: value for name, value in vars(streams[0]).items() if name not in ("num_images", "num_classes")}
    document = BenchDocument(
        output / "bench-adsa.json", kind="adsa", settings={**vars(plan), **common}, command=command
    )
    for stream in streams:
        if stream.name in document.measurements:
            say(f"{stream.name}: kept from {document.path.name}")
            continue
        say(f"{stream.name}: time")
        document.add(stream.name, measure(stream, plan, say=say))
    return document


def measure(stream: Stream, plan: TimingPlan, *, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Time and memory of the three ways, and the tau that each finds."""
    held = stream.held()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taus = {way: fit(stream, held) for way, fit in _FITS.items()}
        samples = interleaved({way: partial(fit, stream, held) for way, fit in _FITS.items()}, plan)
    rows: dict[str, dict[str, Any]] = {}
    for way, values in samples.items():
        say(f"{stream.name}: memory of {way}")
        if stream.device == "cuda":
            memory = {"peak_mib": cuda_peak_of(partial(_FITS[way], stream, held))}
        else:
            memory = in_own_process("lt_callbacks.bench.adsa", {"way": way, **vars(stream)})
        rows[way] = {**summary(values), "tau": taus[way], **memory}
    ratios = {way: ratio(row, rows[STREAMING]) for way, row in rows.items() if way != STREAMING}
    return {"num_images": stream.num_images, "num_classes": stream.num_classes, "rows": rows, "ratios": ratios}


def _grid(stream: Stream) -> list[float]:
    """The values of tau that are tried: -1 to 4, where the estimator looks too."""
    count = round(5.0 / stream.step)
    return [-1.0 + 5.0 * position / count for position in range(count + 1)]


def _centred(stream: Stream) -> Tensor:
    log_prior = stream.prior.log()
    return (log_prior - log_prior.mean()).float().to(stream.device)


def _intended_probs(logits: Tensor, intended: Tensor, log_prior: Tensor, tau: float) -> Tensor:
    probs = torch.softmax(logits - tau * log_prior, dim=1)
    return probs.gather(1, intended[:, None])[:, 0]


def _memory_here(way: str, stream: Stream) -> float:
    held = stream.held()
    # What first calls load is not memory of the fit.
    small = Stream(**{**vars(stream), "num_images": min(stream.num_images, 2 * stream.num_classes)})
    _FITS[way](Stream(**{**vars(small), "step": 2.5}), held)
    return peak_of(partial(_FITS[way], Stream(**{**vars(stream), "step": max(stream.step, 1.0)}), held))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked = json.loads(sys.argv[1])
    way = asked.pop("way")
    sys.stdout.write(f"\n{json.dumps(round(_memory_here(way, Stream(**asked)), 3))}\n")
