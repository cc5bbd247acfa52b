"""`lt-bench loss`: from three models' predictions to D-SINK's loss and its gradient, without the networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.loops import naive_log, plain_sweeps
from lt_callbacks.bench.problems import Criterion, Problem, exact_plan, predictions
from lt_callbacks.bench.timing import TimingPlan, interleaved, ratio, summary
from lt_callbacks.bench.training_reference import Hyperparameters, sinkhorn
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers import FrozenTeacher

#: As a training step has it.
CRITERION, LIMIT = Criterion(kind="total_variation"), 100

OURS, FIXED, TESTED = "ours", "naive, sweeps known", "naive, .item() each sweep"

#: Problems of a step with 10 and with 100 classes.
PROBLEMS = ("corr:128x10:3", "corr:128x100:8")


class HeldTeacher(FrozenTeacher):
    """A teacher whose predictions are there already: what is timed is the step beside its forward.

    Args:
        log_probs: (N, C) of the batch.
    """

    def __init__(self, log_probs: Tensor) -> None:
        self._held = log_probs
        self.num_classes = log_probs.shape[1]

    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """The predictions of the one batch."""
        return self._held


def ways(problem: Problem, *, device: str, seed: int) -> dict[str, Callable[[], Tensor]]:
    """The ways to be timed: name -> a call that returns the (N, C) gradient of the loss by the student's logits."""
    student, noise, imbalance = (logits.to(device) for logits in predictions(problem, seed=seed))
    noise, imbalance = noise.log_softmax(dim=1), imbalance.log_softmax(dim=1)
    student.requires_grad_()
    dsink = DSink(
        noise_teacher=HeldTeacher(noise),
        imbalance_teacher=HeldTeacher(imbalance),
        alpha=1.0,
        tolerance=CRITERION.tolerance,
        max_iterations=LIMIT,
    )
    with torch.no_grad():
        log_kernel = 0.5 * (student.log_softmax(dim=1) + noise)
        sweeps = min(plain_sweeps(log_kernel, imbalance.exp().sum(dim=0), CRITERION), LIMIT)
    settings = Hyperparameters(tolerance=CRITERION.tolerance, max_iterations=LIMIT)

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, student)[0]

    def ours() -> Tensor:
        return gradient(dsink.loss(student, student))

    def by_hand(solve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        log_probs = F.log_softmax(student, dim=1)
        with torch.no_grad():
            plan = solve(0.5 * (log_probs.detach() + noise), imbalance.exp().sum(dim=0))
        return gradient((plan * (plan.clamp_min(1e-12).log() - log_probs)).sum(dim=1).mean())

    return {
        OURS: ours,
        FIXED: partial(by_hand, lambda kernel, marginal: naive_log(kernel, marginal)(sweeps, False)()),
        TESTED: partial(by_hand, lambda kernel, marginal: sinkhorn(kernel, marginal, settings)),
    }


def exact_gradient(problem: Problem, *, seed: int) -> Tensor:
    """Gradient of the loss in float64, (N, C): (softmax(student) - Q) / N with the exact Q."""
    student, noise, imbalance = (logits.double() for logits in predictions(problem, seed=seed))
    log_kernel = 0.5 * (student.log_softmax(dim=1) + noise.log_softmax(dim=1))
    plan = exact_plan(log_kernel, imbalance.softmax(dim=1).sum(dim=0))
    return (student.softmax(dim=1) - plan) / len(student)


def measure(problem: Problem, plan: TimingPlan, *, seed: int) -> dict[str, Any]:
    """Times of the three ways on one problem, and how far their gradients are from the exact one."""
    made, exact = ways(problem, device=plan.device, seed=seed), exact_gradient(problem, seed=seed)
    errors = {name: float((way().double().cpu() - exact).abs().max()) for name, way in made.items()}
    samples = interleaved(made, plan)
    rows = {name: {**summary(values), "gradient_error": errors[name]} for name, values in samples.items()}
    return {
        "rows": rows,
        "largest_gradient": float(exact.abs().max()),
        "ratios": {name: ratio(row, rows[OURS]) for name, row in rows.items() if name != OURS},
    }


def run(
    problems: Sequence[Problem],
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Time the loss and its gradient on the problems that the document in ``output`` lacks."""
    settings = {**vars(plan), "seed": seed, "criterion": vars(CRITERION), "limit": LIMIT}
    document = BenchDocument(output / "bench-loss.json", kind="loss", settings=settings, command=command)
    for problem in problems:
        if problem.name in document.measurements:
            say(f"{problem.name}: kept from {document.path.name}")
            continue
        say(f"{problem.name}: loss and gradient")
        document.add(problem.name, measure(problem, plan, seed=seed))
    return document
