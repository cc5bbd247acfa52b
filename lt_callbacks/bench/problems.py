"""The transport problems that solvers are timed on, and how a solution is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError, StateError

MODES = ("random", "corr")
SHAPES = ((128, 10), (128, 100), (512, 100), (1024, 1000))
SHARPNESS = (1.0, 3.0, 8.0)

#: The criterion is tested in float64 on float32 plans: what the rounding of a plan may add to it, as a factor.
ROUNDING = 1.01
#: Largest |row sum - 1| of rows that count as exact in float32.
ROW_TOLERANCE = 1e-4
#: Classes up to which the float64 solution is worth its Newton steps.
MOST_CLASSES_EXACT = 2000
#: Largest over smallest class.
IMBALANCE_FACTOR = 100.0
#: The soft teacher's logits over the sharp one's.
SOFTNESS = 0.5
#: Share of labels that the noisy model has wrong, and by how many scales the logit of a label is raised.
FLIPPED, MARGIN = 0.3, 3.0


@dataclass(frozen=True)
class Problem:
    """A transport problem by its size and kind.

    Attributes:
        mode: ``"random"`` or ``"corr"``, see `kernel_and_marginal`.
        num_rows: N.
        num_classes: C.
        sharpness: Scale of the sharper model's logits.
    """

    mode: str
    num_rows: int
    num_classes: int
    sharpness: float

    @property
    def name(self) -> str:
        """The name as it is typed: ``corr:128x10:3``."""
        return f"{self.mode}:{self.num_rows}x{self.num_classes}:{self.sharpness:g}"


def all_problems() -> list[Problem]:
    """The 24 problems of the full table."""
    return [Problem(mode, n, c, s) for mode in MODES for n, c in SHAPES for s in SHARPNESS]


def parse_problem(text: str) -> Problem:
    """The problem called ``MODE:NxC:S``.

    Raises:
        ValueError: The name is not of that form.
    """
    try:
        mode, shape, sharpness = text.strip().split(":")
        rows, classes = shape.split("x")
        problem = Problem(mode, int(rows), int(classes), float(sharpness))
    except ValueError:
        problem = Problem("", 0, 0, 0.0)
    if (
        problem.mode not in MODES
        or problem.num_rows < 1
        or problem.num_classes < 2
        or not 0 < problem.sharpness < math.inf
    ):
        raise ArgumentValueError(
            "--problems",
            rule="be names MODE:NxC:S with MODE random or corr, N >= 1, C >= 2 and S > 0",
            got=repr(text),
            way_out="Write corr:128x100:3, for example.",
        )
    return problem


def kernel_and_marginal(problem: Problem, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The log kernel and the class marginal of a problem, float32 on the CPU.

    The kernel is the mean of the log-probabilities of a sharp model and of one half as sharp. In mode ``"random"``
    logits are normal and the marginal is a long tail. ``"corr"`` is nearer to a training: labels from the long tail,
    30 % of the sharp model's flipped, logits raised at them, and a third model whose mass is the marginal.

    Returns:
        (N, C) log kernel and (C,) marginal that sums to N.
    """
    sharp, soft, mass = _models(problem, seed)
    log_kernel = 0.5 * (sharp.log_softmax(dim=1) + soft.log_softmax(dim=1))
    return log_kernel.float(), _marginal(problem, mass).float()


def predictions(problem: Problem, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The three models of a ``"corr"`` problem: (N, C) float32 logits of the student, of f_N and of f_L.

    Raises:
        ValueError: It is of mode ``"random"``, which has no third model.
    """
    sharp, soft, mass = _models(problem, seed)
    if mass is None:
        raise ArgumentValueError(
            "problem",
            rule="be of mode corr",
            got=problem.name,
            way_out="In mode random the marginal is not that of a model.",
        )
    return soft.float(), sharp.float(), mass.float()


def _marginal(problem: Problem, mass: Tensor | None) -> Tensor:
    return problem.num_rows * _prior(problem) if mass is None else mass.softmax(dim=1).sum(dim=0)


def _prior(problem: Problem) -> Tensor:
    places = torch.linspace(0, 1, problem.num_classes, dtype=torch.float64)
    return (-places * math.log(IMBALANCE_FACTOR)).softmax(dim=0)


def _models(problem: Problem, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """(N, C) float64 logits of the sharp and of the soft model, and of the one whose mass is the marginal."""
    num_rows, num_classes, scale = problem.num_rows, problem.num_classes, problem.sharpness
    generator = torch.Generator().manual_seed(seed)

    def normal() -> Tensor:
        return torch.randn(num_rows, num_classes, generator=generator, dtype=torch.float64)

    if problem.mode == "random":
        return scale * normal(), SOFTNESS * scale * normal(), None
    label = torch.multinomial(_prior(problem), num_rows, replacement=True, generator=generator)
    is_flipped = torch.rand(num_rows, generator=generator) < FLIPPED
    other = torch.randint(0, num_classes, (num_rows,), generator=generator)
    noisy = torch.where(is_flipped, other, label)
    sharp = scale * (normal() + MARGIN * F.one_hot(noisy, num_classes))
    raised = MARGIN * F.one_hot(label, num_classes)
    soft = SOFTNESS * scale * (normal() + raised)
    return sharp, soft, SOFTNESS * scale * (normal() + raised)


@dataclass(frozen=True)
class Criterion:
    """How near the column sums c have to come to the class marginal b.

    Attributes:
        kind: As in `lt_callbacks.transport.sinkhorn`: ``"relative"``, max_j |c_j - b_j| / b_j, or
            ``"total_variation"``, sum_j |c_j - b_j| / N.
        tolerance: Largest value that counts as met.
    """

    kind: str = "relative"
    tolerance: float = 1e-3

    def error(self, columns: Tensor, class_marginal: Tensor) -> float:
        """Distance of the column sums from the class marginal: both are (C,), unitless."""
        gap = (columns - class_marginal).abs()
        if self.kind == "relative":
            return float((gap / class_marginal).max())
        return float(gap.sum() / class_marginal.sum())


@dataclass(frozen=True)
class Verdict:
    """How far a plan is from a solution, found in float64.

    Attributes:
        column_error: By the criterion; inf for a plan that is not finite.
        row_error: max_i |r_i - 1|.
        tolerance: Of the criterion.
    """

    column_error: float
    row_error: float
    tolerance: float

    @property
    def has_exact_rows(self) -> bool:
        """Whether the rows of the plan are as exact as float32 can have them."""
        return self.row_error <= ROW_TOLERANCE

    @property
    def meets_criterion(self) -> bool:
        """Whether the plan counts as a solution."""
        return self.has_exact_rows and self.column_error <= self.tolerance * ROUNDING


def judge(plan: Any, class_marginal: Tensor, criterion: Criterion) -> Verdict:
    """Test a plan against a criterion in float64, whatever its solver says of it.

    Args:
        plan: (N, C) tensor, float32, anywhere.
        class_marginal: (C,).
        criterion: What it has to meet.
    """
    if not isinstance(plan, Tensor) or plan.dtype != torch.float32:
        raise ArgumentTypeError(
            "plan",
            rule="be a float32 tensor",
            got=str(getattr(plan, "dtype", type(plan).__name__)),
            way_out="Convert it within the timing.",
        )
    found = plan.detach().double().cpu()
    if not bool(found.isfinite().all()) or bool((found < 0).any()):
        return Verdict(math.inf, math.inf, criterion.tolerance)
    column_error = criterion.error(found.sum(dim=0), class_marginal.double().cpu())
    return Verdict(column_error, float((found.sum(dim=1) - 1).abs().max()), criterion.tolerance)


def distance(plan: Tensor, exact: Tensor) -> dict[str, float]:
    """How far a plan is from the exact one: largest entry and mean row sum of the difference, the latter in [0, 2]."""
    gap = (plan.detach().double().cpu() - exact).abs()
    return {"max_entry": float(gap.max()), "mean_row_l1": float(gap.sum(dim=1).mean())}


def exact_plan(log_kernel: Tensor, class_marginal: Tensor, *, tolerance: float = 1e-10) -> Tensor:
    """The exact plan of a problem in float64, by damped Newton steps that have no code in common with what is timed.

    Args:
        log_kernel: (N, C).
        class_marginal: (C,) > 0.
        tolerance: Relative column error at which the steps end.

    Returns:
        (N, C) float64 on the CPU.

    Raises:
        RuntimeError: It was not reached.
    """
    rows, b = log_kernel.double().cpu(), class_marginal.double().cpu()
    b = b * (len(rows) / b.sum())
    g = torch.zeros_like(b)
    for _ in range(20):
        g = b.log() - (rows - (rows + g).logsumexp(dim=1, keepdim=True)).logsumexp(dim=0)
    plan = (rows + g).softmax(dim=1)
    columns, damping = plan.sum(dim=0), 1e-3
    for _ in range(1000):
        gap = b - columns
        if float((gap.abs() / b).max()) <= tolerance:
            return plan
        # Semi-dual: gradient c - b, Hessian diag(c) - P'P, which is singular along the constants.
        scale = columns.clamp_min(1e-30).rsqrt()
        matrix = torch.outer(columns * scale, columns * scale) / len(rows) - (plan * scale).t() @ (plan * scale)
        matrix.diagonal().add_(1.0 + damping)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        step = torch.cholesky_solve((gap * scale)[:, None], factor)[:, 0] * scale
        tried = (rows + g + step).softmax(dim=1)
        # Along a convex objective a step that ends where it still descends was not too long.
        slope = float(torch.dot(b - tried.sum(dim=0), step))
        is_good = not int(failed) and slope >= -0.5 * float(torch.dot(gap, step))
        damping = max(damping / 5, 1e-14) if is_good else damping * 10
        if is_good:
            g, plan, columns = g + step, tried, tried.sum(dim=0)
    raise StateError(
        f"The float64 solution was not found within 1000 steps: {tuple(rows.shape)}, tolerance {tolerance}."
    )
