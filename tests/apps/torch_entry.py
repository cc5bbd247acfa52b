"""An entry that tells in which state a real command's imports leave torch."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import lightning.pytorch
import torch

from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.apps.train.run import USED_LATER

__all__ = ["USED_LATER", "tell_torch"]


def tell_torch(job: JobRecord) -> None:
    """Leave a state in which a copied process could differ from a fresh one."""
    threads = [thread.name for thread in threading.enumerate()]
    state: dict[str, Any] = {
        "drawn": torch.rand(3).tolist(),
        "num_threads": torch.get_num_threads(),
        "product": (torch.arange(250000.0).reshape(500, 500) / 1e5 @ torch.ones(500, 500)).sum().item(),
        "cuda": torch.cuda.is_initialized(),
        "is_deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": threads,
        "log_level": lightning.pytorch._logger.level,
    }
    (Path(job.config["folder"]) / "torch.json").write_text(json.dumps(state))
