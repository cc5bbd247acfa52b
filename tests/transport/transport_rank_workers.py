"""What each rank does in test_ranks.py."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist

from lt_callbacks._ranks import gather_rows
from lt_callbacks.transport import sinkhorn

#: How 24 rows are shared out over two ranks.
SHARES = {"even": (12, 12), "uneven": (19, 5), "second_empty": (24, 0), "first_empty": (0, 24)}


def own_rows(name: str, rank: int) -> slice:
    first, second = SHARES[name]
    return slice(0, first) if rank == 0 else slice(first, first + second)


def transport_worker(rank: int, folder: Path) -> None:
    group = dist.group.WORLD
    problem = torch.load(folder / "problem.pt", weights_only=True)
    results: dict[str, object] = {}
    for name in SHARES:
        own = own_rows(name, rank)
        results[f"rows_{name}"] = gather_rows(problem["log_kernel"][own], group)
        for tolerance in (0.0, 1e-3):
            results[f"{name}_{tolerance}"] = tuple(
                sinkhorn(
                    problem["log_kernel"][own],
                    problem["row_shares"][own].sum(0),
                    tolerance=tolerance,
                    max_iterations=40,
                    process_group=group,
                )
            )
    results["rows_none"] = gather_rows(torch.zeros(0, 3), group)
    # One rank's marginal is wrong: both must hear of it, or the other would wait for ever.
    try:
        sinkhorn(torch.zeros(2, 3), torch.tensor([1.0, 1.0, -3.0 * rank]), process_group=group)
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"rank{rank}.pt")
