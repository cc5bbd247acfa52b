"""What a sweep's job may run in place of a command: a few lines that tell about their process."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patience import PATIENCE, wait_until

from lt_callbacks.apps.config.job_record import RUNNING, JobRecord, job_hash

USED_LATER = ("numpy.random",)

IMPORTED = uuid.uuid4().hex
SEEN: list[str] = []


@dataclass
class Told:
    """What `tell` left."""

    process: int
    parent: int
    session: int
    group: int
    place: str
    environment: dict[str, str]
    imported: str
    num_seen: int
    numbers: list[float]
    used_later: bool
    handler_is_default: bool
    threads: list[str]


def make_job(folder: Path, **config: Any) -> Path:
    """A folder with the record of a job."""
    folder.mkdir(parents=True, exist_ok=True)
    JobRecord(
        command="lt-train",
        hash=job_hash("lt-train", config),
        status=RUNNING,
        overrides=[],
        config={"folder": str(folder), **config},
        started="2026-01-01T00:00:00+00:00",
    ).write(folder)
    return folder


def told(folder: Path) -> Told:
    """What the job in ``folder`` told."""
    return Told(**json.loads((folder / "told.json").read_text()))


def runs(process: int) -> bool:
    """Whether a process is there; one that has ended and that nobody waited for is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Entries.


def tell(job: JobRecord) -> float:
    """Leave what can be told about the process."""
    used_later = "numpy" in sys.modules
    import numpy as np

    SEEN.append(job.hash)
    found = Told(
        process=os.getpid(),
        parent=os.getppid(),
        session=os.getsid(0),
        group=os.getpgrp(),
        place=str(Path.cwd()),
        environment=dict(os.environ),
        imported=IMPORTED,
        num_seen=len(SEEN),
        numbers=[random.random(), float(np.random.random())],  # noqa: NPY002
        used_later=used_later,
        handler_is_default=signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        threads=sorted(path.name for path in Path("/proc/self/task").iterdir()),
    )
    folder = Path(job.config["folder"])
    # Whole or not there: who waits for it reads it at once.
    (folder / "told.json.tmp").write_text(json.dumps(vars(found)))
    (folder / "told.json.tmp").rename(folder / "told.json")
    print("what it said")
    print("what it complained about", file=sys.stderr)
    return 1.5


def fail(job: JobRecord) -> None:
    """An error of ours."""
    {}["no such key"]


def interrupt(job: JobRecord) -> None:
    """As Ctrl-C."""
    raise KeyboardInterrupt


def leave(job: JobRecord) -> None:
    """With an exit code of its own."""
    sys.exit(job.config["code"])


def crash(job: JobRecord) -> None:
    """As where the memory is used up."""
    os.kill(os.getpid(), signal.SIGKILL)


def save_when_asked(job: JobRecord) -> None:
    """Work until SIGTERM, then leave a file."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    tell(job)
    wait_until(lambda: asked)
    (Path(job.config["folder"]) / "saved").touch()
    sys.exit(143)


def ignore(job: JobRecord) -> None:
    """Work, whoever asks for the end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(job)
    time.sleep(2 * PATIENCE)
