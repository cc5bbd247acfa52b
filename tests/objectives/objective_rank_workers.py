"""What each rank does in test_over_ranks.py."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist

from lt_callbacks.objectives import OBJECTIVES, EarlyLearningRegularization, Objective, build_objective

NUM_SAMPLES = 20
CLASS_COUNTS = torch.tensor([50, 20, 7, 1])

#: How the 9 rows of a step are shared out over the ranks.
SHARES = {
    2: {"even but one": (5, 4), "uneven": (8, 1), "first empty": (0, 9), "second empty": (9, 0)},
    3: {"even": (3, 3, 3), "uneven": (1, 6, 2), "middle empty": (5, 0, 4), "one alone": (0, 0, 9)},
}
#: Before and after the epochs at which LDAM's weights and the truncation of GCE begin.
EPOCHS = (0, 9)


def prepared(name: str) -> Objective:
    objective = build_objective(name, settings={"truncation": 0.3} if name == "gce" else None)
    objective.prepare(class_counts=CLASS_COUNTS, num_samples=NUM_SAMPLES, max_epochs=10)
    return objective


def batch(epoch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (9, 4), labels and distinct indices."""
    generator = torch.Generator().manual_seed(epoch)
    logits = 2 * torch.randn(9, 4, generator=generator)
    return logits, torch.tensor([0, 1, 2, 3, 3, 0, 0, 0, 1]), torch.randperm(NUM_SAMPLES, generator=generator)[:9]


def padded_batch(epoch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Likewise, where three places hold a sample that stood before: within a share, over ranks, and three times."""
    logits, given_label, index = batch(epoch)
    index[1], index[7], index[8] = index[0], index[2], index[2]
    return logits, given_label, index


def steps(objective: Objective, make_batch=batch, own: slice = slice(None)) -> list[dict[str, torch.Tensor]]:
    """Loss and gradient of this rank's rows, two steps an epoch."""
    found = []
    for epoch in EPOCHS:
        objective.set_epoch(epoch)
        for shift in range(2):
            logits, given_label, index = make_batch(epoch + shift)
            rows = logits[own].requires_grad_()
            loss = objective(rows, given_label[own], index[own])
            (gradient,) = torch.autograd.grad(loss, rows)
            size = torch.tensor(objective.last_batch_size)
            found.append({"loss": loss.detach(), "gradient": gradient, "size": size})
    return found


def objective_worker(rank: int, folder: Path) -> None:
    results: dict[str, object] = {}
    for share, counts in SHARES[dist.get_world_size()].items():
        own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        for name in OBJECTIVES:
            results[f"{name}/{share}"] = steps(prepared(name), own=own)
        for made in (batch, padded_batch):
            objective = prepared("elr")
            steps(objective, made, own)
            results[f"memory/{made.__name__}/{share}"] = objective.memory
    alone = prepared("elr")
    alone.spans_ranks = False
    # No other rank calls: an exchange would wait for them.
    results["alone"] = steps(alone) if rank == 0 else None
    results["eval"] = prepared("elr").eval()(*batch(0)) if rank == 0 else None
    torch.save(results, folder / f"rank{rank}.pt")


def elr_worker(rank: int, folder: Path) -> None:
    """Shares of two and three rows, as torch's wrapper would have them."""
    objective = EarlyLearningRegularization()
    objective.prepare(class_counts=torch.ones(4), num_samples=10, max_epochs=1)
    own = slice(0, 2) if rank == 0 else slice(2, 5)
    for rows, given_label, index in torch.load(folder / "batches.pt", weights_only=True):
        # What DistributedDataParallel does to buffers before every step. The wrapper itself is left out: its gloo threads
        # outlive the process group, and a process that exits with them may abort.
        for buffer in objective.buffers():
            dist.broadcast(buffer, src=0)
        objective(rows[own], given_label[own], index[own])
    torch.save(objective.memory, folder / f"memory{rank}.pt")
