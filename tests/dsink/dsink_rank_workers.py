"""What each rank does in test_over_ranks.py, and what one process with the whole batch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from teacher_batches import predictions
from torch import Tensor

from lt_callbacks.dsink import MeanLabeler, ProxyLabeler
from lt_callbacks.transport import fused, held_rows

ALPHA = 3.0

WAYS = ("gather", "reduce")

#: How the rows of a batch of 20 are shared out over the ranks.
SHARES = {
    2: {"even": (10, 10), "uneven": (13, 7), "empty": (20, 0)},
    3: {"nearly_even": (7, 7, 6), "uneven": (13, 1, 6), "empty": (14, 0, 6)},
}

#: At a fixed number of sweeps nothing depends on where the loop stops.
FIXED = {"tolerance": 0.0, "max_iterations": 30}
#: So many that both solvers end at the same plan.
SAME_SWEEPS = {"tolerance": 1e-6, "max_iterations": 300}
SETTINGS: dict[str, dict[str, Any]] = {
    "batch": FIXED,
    "student": {**FIXED, "class_marginal": "student"},
    "running": {**FIXED, "class_marginal": "running"},
    "uniform": {**FIXED, "class_marginal": "uniform"},
    "queue": {**FIXED, "queue_batches": 2},
    "none": {**FIXED, "class_marginal": "none"},
    "local": {**FIXED, "scope": "local"},
    # Stops on its own.
    "tolerant": {},
}


def make_batches() -> list[dict[str, Tensor]]:
    """Three batches of 20, with the weights of a linear model for each."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for seed in range(3):
        _, noise, imbalance = predictions(20, 5, seed=seed)
        images, weights = torch.randn(20, 8, generator=generator), torch.randn(8, 5, generator=generator)
        batches.append({"images": images, "weights": weights, "noise": noise, "imbalance": imbalance})
    # In the second step a teacher fails on each rank, in the third the other one on one rank.
    batches[1]["noise"][15] = torch.nan
    batches[1]["imbalance"][2] = torch.nan
    batches[2]["imbalance"][[16, 19]] = torch.inf
    return batches


def own_rows(shares: tuple[int, ...], rank: int) -> slice:
    return slice(sum(shares[:rank]), sum(shares[: rank + 1]))


def steps(settings: dict[str, Any], batches: list[dict[str, Tensor]], own: slice, group: Any) -> dict[str, Any]:
    """Three steps of a labeler on this rank's rows; gradients with respect to the weights of a linear model."""
    labeler = ProxyLabeler(**settings)
    results = []
    for batch in batches:
        weights = batch["weights"].clone().requires_grad_()
        logits = batch["images"][own] @ weights
        proxy = labeler(logits, batch["noise"][own], batch["imbalance"][own], process_group=group)
        (ALPHA * proxy.loss_scale * proxy.divergence(logits)).backward()
        gradient = weights.grad
        if group is not None:
            # What data parallelism does with gradients.
            dist.all_reduce(gradient, group=group)
            gradient /= dist.get_world_size(group)
        results.append(
            {
                "gradient": gradient,
                "labels": proxy.labels,
                "error": proxy.marginal_error,
                "num_nonfinite": proxy.num_nonfinite,
                "is_nonfinite": proxy.is_nonfinite,
                "loss_scale": proxy.loss_scale,
                "iterations": proxy.iterations,
            }
        )
    return {"steps": results, "state": labeler.state_dict()}


def num_gathers(settings: dict[str, Any], batch: dict[str, Tensor], group: Any) -> int:
    """How often rows are gathered for a batch."""
    calls, original = [], held_rows.gather_rows

    def counted(*args: Any, **kwargs: Any) -> list[Tensor]:
        calls.append(args)
        return original(*args, **kwargs)

    held_rows.gather_rows = counted
    logits = batch["images"] @ batch["weights"]
    ProxyLabeler(**settings)(logits, batch["noise"], batch["imbalance"], process_group=group)
    held_rows.gather_rows = original
    return len(calls)


def labeler_worker(rank: int, folder: Path) -> None:
    batches = torch.load(folder / "batches.pt", weights_only=True)
    group = dist.group.WORLD
    results: dict[str, Any] = {}
    for way in WAYS:
        held_rows.FORCED = way
        for shares, lengths in SHARES[dist.get_world_size()].items():
            own = own_rows(lengths, rank)
            for name, settings in SETTINGS.items():
                results[f"{way}_{name}_{shares}"] = steps(settings, batches, own, group)
            mean = MeanLabeler()(
                *(batches[0][key][own] for key in ("noise", "noise", "imbalance")), process_group=group
            )
            results[f"{way}_mean_{shares}"] = {"labels": mean.labels, "error": mean.marginal_error}
        results[f"{way}_gathers"] = {name: num_gathers(SETTINGS[name], batches[0], group) for name in SETTINGS}
    held_rows.FORCED = None
    results["small_gathers"] = {name: num_gathers(SETTINGS[name], batches[0], group) for name in SETTINGS}
    # Large enough for the rule: 20 rows of 5 classes on each other rank.
    held_rows.ENTRIES_TO_REDUCE = 20 * (5 + held_rows.ROW_ENTRIES) - 1
    results["large_gathers"] = {name: num_gathers(SETTINGS[name], batches[0], group) for name in SETTINGS}
    # No model of any rank is finite, and no rank has a sample.
    for way in WAYS:
        held_rows.FORCED = way
        bad = torch.full((2, 5), torch.nan)
        for what, rows in (("bad", bad), ("no", bad[:0])):
            proxy = ProxyLabeler(class_marginal="running")(rows, rows, rows, process_group=group)
            results[f"{way}_{what}_rows"] = {
                "labels": proxy.labels,
                "error": proxy.marginal_error,
                "num_nonfinite": proxy.num_nonfinite,
            }
    torch.save(results, folder / f"rank{rank}.pt")


def one_launch_worker(rank: int, folder: Path) -> None:
    """The same steps in one launch of the kernel, which Triton's interpreter runs where there is no GPU."""
    fused.FORCED = True
    batches = torch.load(folder / "batches.pt", weights_only=True)
    results: dict[str, Any] = {}
    for shares, lengths in SHARES[dist.get_world_size()].items():
        for name in ("tolerant", "local"):
            own = own_rows(lengths, rank)
            results[f"{name}_{shares}"] = steps({**SETTINGS[name], **SAME_SWEEPS}, batches, own, dist.group.WORLD)
    torch.save(results, folder / f"one_launch{rank}.pt")
