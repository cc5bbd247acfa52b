from __future__ import annotations

import json
import os
import secrets
import socket
import time
from datetime import datetime, timezone
from pathlib import Path

from lt_callbacks._files import write_json


class StoreLog:
    """What jobs did to a store, one file an event: appends of several machines to one file lose lines on some shares.

    Args:
        folder: Made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, event: str, key: str) -> None:
        """Note that this process did ``event``: ``"training"`` (started), ``"stored"`` or ``"discarded"``."""
        now = datetime.now(timezone.utc)
        write_json(
            self.folder / f"{time.time_ns()}-{secrets.token_hex(4)}.json",
            {
                "time": now.isoformat(timespec="milliseconds"),
                "event": event,
                "teacher": key,
                "host": socket.gethostname(),
                "process": os.getpid(),
            },
        )

    def events(self) -> list[dict[str, str | int]]:
        """All events by the clocks of the machines that noted them: ``time``, ``event``, ``teacher``, ``host``..."""
        files = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        return [json.loads(file.read_text()) for file in files]
