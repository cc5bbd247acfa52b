"""Commands as a user types them, in processes of their own, made small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lt_callbacks.apps.drivers import clean_environment

SMALL = ("num_seeds=1", "threads=1", "trainer.max_epochs=2", "trainer.accelerator=cpu")
TRAIN = (sys.executable, "-m", "lt_callbacks.apps.train")


def environment(**changes: Any) -> dict[str, str]:
    """Without what tests that run before left behind."""
    clean = {name: value for name, value in clean_environment().items() if not name.startswith("PL_")}
    return {**clean, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in changes.items()}}


def train_command(folder: Path, *arguments: str) -> list[str]:
    """`lt-train` with its files in ``folder``."""
    is_multirun = arguments[:1] == ("-m",)
    place = f"hydra.sweep.dir={folder / 'sweep'}" if is_multirun else f"hydra.run.dir={folder / 'run'}"
    given = {argument.partition("=")[0] for argument in arguments}
    small = [setting for setting in SMALL if setting.partition("=")[0] not in given]
    return [*TRAIN, *arguments[:1], f"store={folder / 'store'}", place, *small, *arguments[1:]]


def lt_train(folder: Path, *arguments: str, timeout: float = 250) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        train_command(folder, *arguments), env=environment(), capture_output=True, text=True, timeout=timeout
    )


def start(command: list[str], **changes: Any) -> subprocess.Popen[str]:
    """Start a command and go on."""
    return subprocess.Popen(
        command, env=environment(**changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def jobs_of(sweep: Path) -> dict[Path, dict[str, Any]]:
    """Folder -> record of each job."""
    return {path.parent: json.loads(path.read_text()) for path in sorted(sweep.glob("*/job.json"))}


def ranks_of(folder: Path) -> list[list[dict[str, Any]]]:
    """What the ranks of each phase in a run's folder trained with."""
    phases = sorted((folder / "phases").iterdir())
    return [[json.loads(file.read_text()) for file in sorted(phase.glob("rank-*.json"))] for phase in phases]


def store_events(folder: Path) -> list[dict[str, Any]]:
    """Of the store's log."""
    return [json.loads(file.read_text()) for file in sorted((folder / "store" / "jobs" / "log").glob("*.json"))]


def is_posix_alive(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
