"""Real gloo groups, of several processes or of this one alone, for tests of what happens over ranks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from patience import PATIENCE
from warm_processes import as_fresh, warm

#: A rank that waits for one that has failed fails too, instead of holding the tests up.
TIMEOUT = timedelta(seconds=PATIENCE)


@contextmanager
def group_of_one() -> Iterator[dist.ProcessGroup]:
    """A group with this process as its only rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        assert dist.group.WORLD is not None
        yield dist.group.WORLD
    finally:
        dist.destroy_process_group()


def run_ranks(worker: Callable[[int, Path], None], folder: Path, *, num_ranks: int = 2, is_forked: bool = True) -> None:
    """Call ``worker(rank, folder)`` in ``num_ranks`` processes; it must be importable by name.

    Args:
        worker: What each rank does.
        folder: Of its files.
        num_ranks: How many there are.
        is_forked: Whether they have their imports already. Without, they read the environment as they import.
    """
    arguments = (worker, str(folder), num_ranks, dict(os.environ))
    method = warm().get_start_method() if is_forked else "spawn"
    mp.start_processes(_run, args=arguments, nprocs=num_ranks, start_method=method)


def _run(
    rank: int, worker: Callable[[int, Path], None], folder: str, num_ranks: int, variables: Mapping[str, str]
) -> None:
    as_fresh(variables)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=num_ranks, timeout=TIMEOUT
    )
    try:
        worker(rank, Path(folder))
    finally:
        dist.destroy_process_group()
