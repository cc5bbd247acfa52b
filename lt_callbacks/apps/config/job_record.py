from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lt_callbacks._errors import DataError
from lt_callbacks._files import canonical_json, sha256, write_json
from lt_callbacks._json_file import INTEGER, NUMBER, OBJECT, TEXT, TEXTS, Fields, Kind, optional, read_json, wrong_entry
from lt_callbacks.apps.config.file_contents import with_contents

FORMAT_VERSION = 1
FILE = "job.json"
LOG = "job.log"

RUNNING, DONE, FAILED, STOPPED = _STATES = ("running", "done", "failed", "stopped")

_STATUS = Kind("one of " + ", ".join(map(repr, _STATES)), lambda value: value in _STATES)
_ENTRIES: Fields = {
    "format": INTEGER,
    "command": TEXT,
    "hash": TEXT,
    "status": _STATUS,
    "overrides": TEXTS,
    "config": OBJECT,
    "started": TEXT,
    "seconds": optional(NUMBER),
    "error": optional(TEXT),
    "value": optional(NUMBER),
    "log": TEXT,
}

#: Settings that say where and how loudly a job works, not what it computes.
NOT_A_JOBS = ("output", "store", "results", "logger", "threads")

# Name of a setting in an earlier release -> today's. Jobs of both are the same: hashes are made with the first.
_RENAMED = {"cell": "setting"}


@dataclass(frozen=True)
class JobRecord:
    """What is known of one job of a sweep; the file that its process starts from, and that a report reads.

    Attributes:
        command: ``lt-train`` or ``lt-distill``.
        hash: See `job_hash`.
        status: ``"running"``, ``"done"``, ``"failed"`` or ``"stopped"`` (on request; it can go on).
        overrides: What the sweep set.
        config: All settings.
        started: Time in UTC.
        seconds: Wall time of its last process; None while that runs.
        error: Why it failed.
        value: What a sweeper may choose by.
        log: Of its process, in the job's folder.
    """

    command: str
    hash: str
    status: str
    overrides: list[str]
    config: dict[str, Any]
    started: str
    seconds: float | None = None
    error: str | None = None
    value: float | None = None
    log: str = LOG

    def write(self, folder: Path, **changes: Any) -> JobRecord:
        """Write this record into the job's folder, with ``changes`` made; returns what was written."""
        changed = replace(self, **changes)
        write_json(folder / FILE, {"format": FORMAT_VERSION, **asdict(changed)})
        return changed


def read_job(folder: Path) -> JobRecord | None:
    """The record in ``folder``; None where there is none, or one that is damaged or that another release wrote."""
    try:
        content = read_json(folder / FILE)
    except DataError:
        return None
    if _fault(content):
        return None
    del content["format"]
    config = {_RENAMED.get(name, name): value for name, value in content["config"].items()}
    return JobRecord(**{**content, "config": config})


def job_fault(folder: Path) -> str | None:
    """What is wrong with the record in ``folder``, to be read after "which"; None where `read_job` reads it."""
    try:
        return _fault(read_json(folder / FILE))
    except DataError as error:
        return f"is damaged or truncated: {error}"


def _fault(content: Any) -> str | None:
    if not isinstance(content, dict) or content.get("format") != FORMAT_VERSION:
        return f"another release wrote: it has no entry `format` that reads {FORMAT_VERSION}"
    stranger = next((name for name in content if name not in _ENTRIES), None)
    return wrong_entry(content, _ENTRIES) or (stranger and f"has an entry `{stranger}` that this release does not know")


def job_hash(command: str, settings: Mapping[str, Any]) -> str:
    """64 hexadecimal digits for what a job computes: equal for equal settings and files, wherever it runs."""
    first_names = {today: first for first, today in _RENAMED.items()}
    held = with_contents(settings)
    kept = {first_names.get(name, name): value for name, value in held.items() if name not in NOT_A_JOBS}
    return sha256(canonical_json({"format": FORMAT_VERSION, "command": command, **kept}))
