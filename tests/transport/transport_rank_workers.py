"""What each rank does in test_held_rows.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from reference import problem
from torch import Tensor

from lt_callbacks._ranks import gather_rows
from lt_callbacks.transport import held_rows, sinkhorn
from lt_callbacks.transport.column_sums import RankSums

WAYS = ("gather", "reduce")

#: How 48 rows are shared out over the ranks.
SHARES = {
    2: {"even": (24, 24), "uneven": (39, 9), "second_empty": (48, 0), "first_empty": (0, 48)},
    3: {"even": (16, 16, 16), "uneven": (30, 1, 17), "middle_empty": (20, 0, 28), "only_last": (0, 0, 48)},
}

#: Name -> classes, sharpness of the kernel, settings of the solver. All run a fixed number of sweeps.
PROBLEMS: dict[str, tuple[int, float, dict[str, Any]]] = {
    "few_classes": (6, 6.0, {}),
    "ten_classes": (10, 3.0, {}),
    "sharp": (10, 16.0, {}),
    "hundred_classes": (100, 6.0, {}),
    "plain_relative": (10, 3.0, {"accelerate": False, "criterion": "relative"}),
    "absent": (10, 3.0, {}),
}
FIXED = {"tolerance": 0.0, "max_iterations": 30}
NUM_ROWS = 48


def make_problem(name: str) -> tuple[Tensor, Tensor]:
    """(48, C) log kernel and what each row brings of the marginal, as a sample brings the teacher's prediction."""
    num_classes, scale, _ = PROBLEMS[name]
    log_kernel, marginal = problem(NUM_ROWS, num_classes, scale)
    row_shares = torch.rand(NUM_ROWS, num_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    row_shares = row_shares * (marginal / row_shares.sum(0))
    if name == "absent":
        # Rows without a prediction, the first and the last of them, and a class without mass.
        log_kernel[[0, 20]] = torch.nan
        log_kernel[47] = -torch.inf
        row_shares[:, 3] = 0.0
    return log_kernel.float(), row_shares.float()


def own_rows(shares: tuple[int, ...], rank: int) -> slice:
    return slice(sum(shares[:rank]), sum(shares[: rank + 1]))


def solve_share(name: str, shares: tuple[int, ...], rank: int, group: Any, **settings: Any) -> tuple[Tensor, ...]:
    own = own_rows(shares, rank)
    log_kernel, row_shares = make_problem(name)
    return tuple(sinkhorn(log_kernel[own], row_shares[own].sum(0), process_group=group, **settings))


def num_gathers(*, num_rows: int, group: Any) -> int:
    """How often rows are gathered by a solver of 3 classes and ``num_rows`` on this rank."""
    calls = []

    def counted(*args: Any, **kwargs: Any) -> list[Tensor]:
        calls.append(args)
        return gather_rows(*args, **kwargs)

    held_rows.gather_rows = counted
    sinkhorn(torch.zeros(num_rows, 3), torch.ones(3), process_group=group)
    held_rows.gather_rows = gather_rows
    return len(calls)


def transport_worker(rank: int, folder: Path) -> None:
    group, num_ranks = dist.group.WORLD, dist.get_world_size()
    results: dict[str, Any] = {}
    for way in WAYS:
        held_rows.FORCED = way
        for name, shares in SHARES[num_ranks].items():
            for which, (_, _, settings) in PROBLEMS.items():
                results[f"{way}_{name}_{which}"] = solve_share(which, shares, rank, group, **FIXED, **settings)
            results[f"{way}_{name}_stop"] = solve_share("sharp", shares, rank, group, tolerance=1e-3)
        results[f"{way}_nothing"] = tuple(sinkhorn(torch.zeros(0, 3), torch.zeros(3), process_group=group))
        wide = torch.zeros(2, 3, dtype=torch.float64)
        results[f"{way}_float64"] = tuple(sinkhorn(wide, torch.arange(3.0), process_group=group, max_iterations=2))
        marginal = torch.ones(3)
        sinkhorn(torch.zeros(2, 3), marginal, process_group=group)
        results[f"{way}_marginal_left_alone"] = marginal
        # One rank's marginal is wrong: all must hear of it, or the others would wait for ever.
        for what, entry in (("negative", -9.0), ("nan", torch.nan)):
            try:
                sinkhorn(torch.zeros(2, 3), torch.tensor([1.0, 1.0, entry if rank == 1 else 1.0]), process_group=group)
            except ValueError as error:
                results[f"{way}_{what}"] = str(error)
        results[f"{way}_gathers"] = num_gathers(num_rows=2, group=group)

    # The rule itself, on a shrunken scale: 3 rows of 3 classes on each of the others are not enough, 4 are.
    held_rows.FORCED, held_rows.ENTRIES_TO_REDUCE = None, 4 * (3 + held_rows.ROW_ENTRIES) - 1
    results["gathers_small"] = num_gathers(num_rows=3, group=group)
    results["gathers_large"] = num_gathers(num_rows=4, group=group)

    # As if the last rank's processor had rounded the error to the other side of the tolerance.
    sums = RankSums(group)
    results["over"] = []
    for is_done in (False, rank == 0, False):
        sums.total(torch.zeros(2))
        results["over"].append(sums.should_stop(torch.tensor(is_done)))

    if num_ranks == 3:
        # Two of three ranks, whose numbers in the group are not their numbers among all.
        pair = dist.new_group([1, 2])
        for way in WAYS if rank else ():
            held_rows.FORCED = way
            results[f"{way}_pair"] = solve_share("sharp", (30, 18), rank - 1, pair, **FIXED)
    torch.save(results, folder / f"rank{rank}.pt")
