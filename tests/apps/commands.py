"""Commands as a user types them, in processes of their own, made small."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from patience import PATIENCE
from tiny_run import tiny_config, tiny_study
from warm_processes import Program, environment, free_port

from lt_callbacks.apps.train.phase import PHASE, Phase
from lt_callbacks.apps.train.training import Training

SMALL = ("num_seeds=1", "threads=1", "trainer.max_epochs=2", "trainer.accelerator=cpu")
TRAIN = (sys.executable, "-m", "lt_callbacks.apps.train.command")


def train_command(folder: Path, *arguments: str) -> list[str]:
    """`lt-train` with its files in ``folder``."""
    is_multirun = arguments[:1] == ("-m",)
    place = f"hydra.sweep.dir={folder / 'sweep'}" if is_multirun else f"hydra.run.dir={folder / 'run'}"
    given = {argument.partition("=")[0] for argument in arguments}
    own = [setting for setting in (place, *SMALL) if setting.partition("=")[0] not in given]
    return [*TRAIN, *arguments[:1], f"store={folder / 'store'}", *own, *arguments[1:]]


def lt_train(folder: Path, *arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        train_command(folder, *arguments), env=environment(), capture_output=True, text=True, timeout=timeout
    )


def start(command: list[str], **changes: Any) -> subprocess.Popen[str]:
    """Start a command and go on."""
    process = subprocess.Popen(
        command, env=environment(**changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # What a failed test leaves running would slow down all that follow; its children end with it.
    atexit.register(process.kill)
    return process


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


def is_alive(number: int) -> bool:
    """Whether a process runs or is stopped; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def phase_folder(place: Path, *overrides: str, method: str = "ce", devices: int = 2, **facts: str) -> Path:
    """What a driver leaves for its ranks."""
    config = tiny_config(place, "data.batch_size=32", *overrides)
    config = replace(config, trainer=replace(config.trainer, devices=devices))
    training = Training(
        name="CE",
        group="objective",
        seed=0,
        method=method,
        max_epochs=2,
        learning_rate=None,
        folder=place / "unfinished",
    )
    study = tiny_study(place, *overrides)
    known = {"manifest": study.datamodule.manifest.sha256, "data": study.datamodule.fingerprint}
    content = Phase(config=config, training=training, facts={**known, **facts}).to_dict()
    place.mkdir(exist_ok=True)
    (place / PHASE).write_text(json.dumps(content))
    return place


def run_by_hand(folders: list[Path]) -> list[tuple[int, str]]:
    """The ranks as a launcher would start them: exit code and output of each."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": len(folders)}
    ranks = [
        Program(
            [sys.executable, "-m", "lt_callbacks.apps.train.phase_worker", str(folder)],
            env=environment(**shared, LOCAL_RANK=rank),
        )
        for rank, folder in enumerate(folders)
    ]
    return [(done.returncode, done.stdout + done.stderr) for rank in ranks for done in [rank.wait()]]
