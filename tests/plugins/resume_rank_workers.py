"""What each rank does in test_exact_resume.py."""

from __future__ import annotations

from pathlib import Path

import small_modules as m
import torch
from resumed_modules import generators, set_generators

from lt_callbacks.plugins import ExactResume


def resume_worker(rank: int, folder: Path) -> None:
    """Save between two steps, draw, and draw the same again in another callback that loads what was saved."""
    trainer = m.trainer()
    set_generators(rank)
    running = ExactResume()
    running.on_train_start(trainer, None)
    running.on_train_batch_start(trainer, None, None, 0)
    generators()
    running.on_train_batch_end(trainer, None, None, None, 0)
    saved = running.state_dict()
    expected = generators()

    set_generators(99)
    resumed = ExactResume()
    resumed.load_state_dict(saved)
    resumed.on_train_start(trainer, None)
    resumed.on_train_epoch_start(trainer, None)
    # The loaders draw before the first batch.
    generators()
    resumed.on_train_batch_start(trainer, None, None, 1)
    torch.save({"num_saved": len(saved["ranks"]), "expected": expected, "got": generators()}, folder / f"{rank}.pt")
    if rank == 0:
        torch.save(saved, folder / "saved.pt")
