from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.evaluation.records import environment
from lt_callbacks.evaluation.records.method_result import MethodResult, json_object

_FORMAT = "lt_callbacks result"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ResultDocument:
    """One experiment as it lies on disk: what was run, where, and what came out.

    On disk the results are the entry ``cells``, each with the position of its run.

    Attributes:
        settings: What all results have in common.
        notes: What a reader must know, or ``None``.
        runs: One entry for each command that added results: ``command``, ``date`` (UTC, of its first result),
            ``hardware``, ``versions``. An experiment that was continued elsewhere has several.
        results: One for each method, seed and name of a setting that is finished.
        result_runs: For each result, the position of its entry in ``runs``.
    """

    settings: dict[str, Any]
    notes: str | None
    runs: tuple[dict[str, Any], ...]
    results: tuple[MethodResult, ...]
    result_runs: tuple[int, ...]

    @property
    def seeds(self) -> list[int]:
        """Seeds of all results, ascending."""
        return sorted({result.seed for result in self.results})


def write_result(
    path: str | os.PathLike[str],
    *,
    command: str,
    settings: Mapping[str, Any],
    results: Iterable[MethodResult],
    notes: str | None = None,
) -> Path:
    """Write a finished experiment as JSON, with machine, versions, date and checksum; an old file is replaced whole.

    Args:
        path: The file to write.
        command: Command line that produces the results again.
        settings: What all results have in common; only what JSON can hold.
        results: Each method, seed and name of a setting once.
        notes: What a reader must know.

    Raises:
        ValueError, TypeError: No command, settings that JSON cannot hold, or a result given twice.
    """
    results = tuple(results)
    document = ResultDocument(
        settings=json_object("settings", settings),
        notes=notes,
        runs=(run_record(command),),
        results=results,
        result_runs=(0,) * len(results),
    )
    return save_document(path, document)


def read_result(path: str | os.PathLike[str]) -> ResultDocument:
    """Read a result document; one that is damaged, edited or of another format version is refused by name.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a whole, unedited result document of this format version.
    """
    source = Path(path)
    if not source.is_file():
        got = f"{str(source)!r}, which does not exist"
        raise ArgumentFileError("path", rule="be the file of a result document", got=got)
    try:
        content = json.loads(source.read_bytes())
    except ValueError as error:
        raise _refused(source, f"is damaged or truncated: {error}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _refused(source, f"has no entry `format` that reads {_FORMAT!r}")
    if content.get("format_version") != FORMAT_VERSION:
        raise ArgumentValueError(
            "path",
            rule=f"be a result document of format version {FORMAT_VERSION}",
            got=f"{str(source)!r}, which has version {content.get('format_version')!r}",
            way_out="Read it with the release that wrote it, or run its command again.",
        )
    recorded = content.pop("sha256", None)
    if recorded != _checksum(content):
        raise _refused(source, "was edited or damaged: its content does not match its checksum")
    entries = [dict(entry) for entry in content["cells"]]
    result_runs = tuple(entry.pop("run") for entry in entries)
    return ResultDocument(
        settings=content["settings"],
        notes=content["notes"],
        runs=tuple(content["runs"]),
        results=tuple(MethodResult.from_dict(entry) for entry in entries),
        result_runs=result_runs,
    )


def save_document(path: str | os.PathLike[str], document: ResultDocument) -> Path:
    """Write ``document``; one result a line, so that a version control system shows what was added."""
    seen = set()
    for result in document.results:
        if result.key in seen:
            rule, got = "hold each method, seed and name of a setting once", f"{result.key} twice"
            raise ArgumentValueError("results", rule=rule, got=got, way_out="Drop one of the two.")
        seen.add(result.key)
    content: dict[str, Any] = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": document.settings,
        "notes": document.notes,
        "seeds": document.seeds,
        "runs": list(document.runs),
    }
    positions = zip(document.results, document.result_runs, strict=True)
    entries = [{**result.to_dict(), "run": run} for result, run in positions]
    content["sha256"] = _checksum({**content, "cells": entries})
    head = json.dumps(content, indent=2, allow_nan=False).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(entry, allow_nan=False)}" for entry in entries)
    text = f'{head},\n  "cells": [\n{lines}\n  ]\n}}\n'
    return _files.write_bytes(path, text.encode())


def run_record(command: str) -> dict[str, Any]:
    """What a document records about the command that is running now: its line, the date, machine and versions."""
    if not isinstance(command, str) or not command.strip():
        raise ArgumentValueError("command", rule="be the command line that makes the result", got=repr(command))
    return {
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }


def _checksum(content: dict[str, Any]) -> str:
    return _files.sha256(_files.canonical_json(content))


def _refused(source: Path, why: str) -> ArgumentValueError:
    return ArgumentValueError(
        "path",
        rule="be a whole and unedited result document",
        got=f"{str(source)!r}, which {why}",
        way_out="Restore it, or delete it and run its command again.",
    )
