"""Two ranks of a user's own script, started as a cluster would start them: what each wrote, and how it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from commands import environment, free_port
from patience import PATIENCE

SCRIPT = Path(__file__).with_name("rank_trouble_script.py")


class Ended(NamedTuple):
    """How a rank ended.

    Attributes:
        found: Case -> what it wrote.
        code: Exit code.
        said: Its standard error and output.
    """

    found: dict[str, Any]
    code: int
    said: str


def start_two_ranks(folder: Path, *arguments: str) -> list[Ended]:
    """Run the script on two ranks to their ends."""
    port = free_port()
    path = os.pathsep.join(filter(None, sys.path))
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), *arguments],
            env=environment(
                LOCAL_RANK=rank, NODE_RANK=0, WORLD_SIZE=2, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, PYTHONPATH=path
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        Ended(json.loads((folder / f"{rank}.json").read_text()), process.returncode, said[rank])
        for rank, process in enumerate(processes)
    ]
