"""What each rank does in test_estimator.py."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler

from lt_callbacks.adsa import TauEstimator, fit_tau

#: How 72 images are shared out over the ranks; a rank without images may update with none, or not at all.
SHARES = {
    2: {"even": (36, 36), "uneven": (61, 11), "second_empty": (72, 0), "first_empty": (0, 72)},
    3: {"uneven": (40, 1, 31), "middle_empty": (30, 0, 42), "only_last": (0, 0, 72)},
}


def own_rows(shares: tuple[int, ...], rank: int) -> slice:
    return slice(sum(shares[:rank]), sum(shares[: rank + 1]))


def estimator_worker(rank: int, folder: Path) -> None:
    problem = torch.load(folder / "problem.pt", weights_only=True)
    logits, intended, prior = problem["logits"], problem["intended"], problem["prior"]
    results: dict[str, object] = {}
    for name, shares in SHARES[dist.get_world_size()].items():
        own = own_rows(shares, rank)
        estimator = TauEstimator(prior)
        # Batches of 7, so that ranks take different numbers of steps; only an empty rank of "uneven" shares updates.
        for batch in zip(logits[own].split(7), intended[own].split(7), strict=True):
            if len(batch[0]) or name == "first_empty":
                estimator.update(*batch)
        fit = estimator.compute()
        results[name] = {"tau": fit.tau, "interval": fit.interval, "num_images": fit.num_images}
        # The sums of all ranks must not stay in this one's.
        results[f"{name}_again"] = float(estimator.totals[:, 0].sum())
    results["alone"] = fit_tau(logits, intended, prior).tau if rank == 0 else None
    # Torch's own padding, and whole batches that come again on other ranks.
    padded = TauEstimator(prior)
    mine = torch.tensor(list(DistributedSampler(range(len(intended) - 1), shuffle=False)))
    for index in (*mine.split(7), torch.arange(10 + rank, 30), torch.arange(0 if rank else len(intended))):
        padded.update(logits[index], intended[index], index=index)
    fit = padded.compute()
    results["padded"] = {"tau": fit.tau, "interval": fit.interval, "num_images": fit.num_images}
    bad = TauEstimator(prior)
    bad.update(logits, intended + 100 * (rank == 1))
    try:
        bad.compute()
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"rank{rank}.pt")
