from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks.evaluation.records import environment
from lt_callbacks.evaluation.records.results import CellResult, json_object

_FORMAT = "lt_callbacks result"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ResultDocument:
    """One experiment as it lies on disk: what was run, where, and what came out.

    Attributes:
        settings: What all cells have in common.
        notes: What a reader must know, or ``None``.
        runs: One entry for each command that added cells: ``command``, ``date`` (UTC, of its first cell),
            ``hardware``, ``versions``. An experiment that was continued elsewhere has several.
        cells: Finished runs of a method with a seed.
        cell_runs: For each cell, the position of its entry in ``runs``.
    """

    settings: dict[str, Any]
    notes: str | None
    runs: tuple[dict[str, Any], ...]
    cells: tuple[CellResult, ...]
    cell_runs: tuple[int, ...]

    @property
    def seeds(self) -> list[int]:
        """Seeds of all cells, ascending."""
        return sorted({cell.seed for cell in self.cells})


def write_result(
    path: str | os.PathLike[str],
    *,
    command: str,
    settings: Mapping[str, Any],
    cells: Iterable[CellResult],
    notes: str | None = None,
) -> Path:
    """Write a finished experiment as JSON, with machine, versions, date and checksum; an old file is replaced whole.

    Args:
        path: The file to write.
        command: Command line that produces the cells again.
        settings: What all cells have in common; only what JSON can hold.
        cells: Finished runs, each method, seed and cell name once.
        notes: What a reader must know.

    Raises:
        ValueError, TypeError: No command, settings that JSON cannot hold, or a cell given twice.
    """
    cells = tuple(cells)
    document = ResultDocument(
        settings=json_object("settings", settings),
        notes=notes,
        runs=(run_record(command),),
        cells=cells,
        cell_runs=(0,) * len(cells),
    )
    return save_document(path, document)


def read_result(path: str | os.PathLike[str]) -> ResultDocument:
    """Read a result document; one that is damaged, edited or of another format version is refused by name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a whole, unedited result document of this format version.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"`path` must be a result document; there is no file {str(source)!r}.")
    try:
        content = json.loads(source.read_bytes())
    except ValueError as error:
        raise _refused(source, f"is damaged or truncated: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _refused(source, f"has no entry `format` that reads {_FORMAT!r}")
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"`path` must be a result document of format version {FORMAT_VERSION}; {str(source)!r} has version "
            f"{content.get('format_version')!r}. Read it with the release that wrote it, or run its command again."
        )
    recorded = content.pop("sha256", None)
    if recorded != _checksum(content):
        raise _refused(source, "was edited or damaged: its content does not match its checksum")
    cells = [dict(cell) for cell in content["cells"]]
    cell_runs = tuple(cell.pop("run") for cell in cells)
    return ResultDocument(
        settings=content["settings"],
        notes=content["notes"],
        runs=tuple(content["runs"]),
        cells=tuple(CellResult.from_dict(cell) for cell in cells),
        cell_runs=cell_runs,
    )


def save_document(path: str | os.PathLike[str], document: ResultDocument) -> Path:
    """Write ``document``; one cell a line, so that a version control system shows what was added."""
    seen = set()
    for cell in document.cells:
        if cell.key in seen:
            raise ValueError(
                f"`cells` must hold each method, seed and cell name once; got {cell.key} twice. Drop one of the two."
            )
        seen.add(cell.key)
    content: dict[str, Any] = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": document.settings,
        "notes": document.notes,
        "seeds": document.seeds,
        "runs": list(document.runs),
    }
    cells = [{**cell.to_dict(), "run": run} for cell, run in zip(document.cells, document.cell_runs, strict=True)]
    content["sha256"] = _checksum({**content, "cells": cells})
    head = json.dumps(content, indent=2, allow_nan=False).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(cell, allow_nan=False)}" for cell in cells)
    text = f'{head},\n  "cells": [\n{lines}\n  ]\n}}\n'
    return _files.write_bytes(path, text.encode())


def run_record(command: str) -> dict[str, Any]:
    """What a document records about the command that is running now."""
    if not isinstance(command, str) or not command.strip():
        raise ValueError(f"`command` must be the command line that makes the result; got {command!r}.")
    return {
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }


def _checksum(content: dict[str, Any]) -> str:
    return _files.sha256(_files.canonical_json(content))


def _refused(source: Path, why: str) -> ValueError:
    return ValueError(
        f"`path` must be a whole and unedited result document; {str(source)!r} {why}. "
        "Restore it, or delete it and run its command again."
    )
