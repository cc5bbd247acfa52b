"""What each rank does in test_labeler.py, and what one process with the whole batch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks.dsink import ProxyLabeler, proxy_label_loss

ALPHA = 3.0

#: How the rows of a batch of 20 are shared out over two ranks.
SHARES = {"even": (10, 10), "uneven": (13, 7), "empty": (20, 0)}

#: At a fixed number of sweeps nothing depends on where the loop stops.
FIXED = {"tolerance": 0.0, "max_iterations": 30}
SETTINGS: dict[str, dict[str, Any]] = {
    "batch": FIXED,
    "student": {**FIXED, "class_marginal": "student"},
    "running": {**FIXED, "class_marginal": "running"},
    "queue": {**FIXED, "queue_batches": 2},
    "none": {**FIXED, "class_marginal": "none"},
    "local": {**FIXED, "scope": "local"},
}


def steps(settings: dict[str, Any], batches: list[dict[str, Tensor]], own: slice, group: Any) -> dict[str, Any]:
    """Three steps of a labeler on this rank's rows; gradients with respect to the weights of a linear model."""
    labeler = ProxyLabeler(**settings)
    results = []
    for batch in batches:
        weights = batch["weights"].clone().requires_grad_()
        logits = batch["images"][own] @ weights
        proxy = labeler(logits, batch["noise"][own], batch["imbalance"][own], process_group=group)
        (ALPHA * proxy.loss_scale * proxy_label_loss(logits, proxy.labels)).backward()
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
            }
        )
    return {"steps": results, "state": labeler.state_dict()}


def labeler_worker(rank: int, folder: Path) -> None:
    batches = torch.load(folder / "batches.pt", weights_only=True)
    results = {}
    for shares, (first, second) in SHARES.items():
        own = slice(0, first) if rank == 0 else slice(first, first + second)
        for name, settings in SETTINGS.items():
            results[f"{name}_{shares}"] = steps(settings, batches, own, dist.group.WORLD)
    torch.save(results, folder / f"rank{rank}.pt")
