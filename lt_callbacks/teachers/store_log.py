from __future__ import annotations

import os
import secrets
import socket
import time
from datetime import datetime, timezone
from pathlib import Path

from lt_callbacks._errors import DataError
from lt_callbacks._files import write_json
from lt_callbacks._json_file import INTEGER, TEXT, Fields, read_json, wrong_entry

_ENTRIES: Fields = {"time": TEXT, "event": TEXT, "teacher": TEXT, "host": TEXT, "process": INTEGER}


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
        """All events by the clocks of the machines that noted them: ``time``, ``event``, ``teacher``, ``host``...

        Raises:
            ValueError: A file is damaged; names it.
        """
        files = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        return [_event(file) for file in files]


def _event(file: Path) -> dict[str, str | int]:
    try:
        event: dict[str, str | int] = read_json(file)
        wrong = wrong_entry(event, _ENTRIES)
    except DataError as error:
        wrong = str(error)
    if wrong:
        raise DataError(f"The event {str(file)!r} must be as it was written; it {wrong}. Delete it; nothing is lost.")
    return event
