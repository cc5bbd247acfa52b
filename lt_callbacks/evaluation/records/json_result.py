from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentError, ArgumentFileError, ArgumentValueError
from lt_callbacks._json_file import (
    COUNT,
    INTEGERS,
    OBJECT,
    TEXT,
    TEXTS,
    VERSIONS,
    Each,
    Fields,
    optional,
    read_json,
    wrong_entry,
)
from lt_callbacks.evaluation.records import environment
from lt_callbacks.evaluation.records.method_result import MethodResult, json_object

_FORMAT = "lt_callbacks result"
FORMAT_VERSION = 1

_HARDWARE = {"cpu": TEXT, "num_cores": COUNT, "system": TEXT, "gpus": TEXTS}
_RUN = {"command": TEXT, "date": TEXT, "hardware": _HARDWARE, "versions": VERSIONS}
_ENTRIES: Fields = {
    "settings": OBJECT,
    "notes": optional(TEXT),
    "seeds": INTEGERS,
    "runs": Each(_RUN),
    "cells": Each({"run": COUNT}),
}


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
        ValueError: The file is not a whole, unedited result document of this format version; an entry that is missing
            or of another kind is named.
    """
    source = as_path("path", path)
    if not source.is_file():
        got = f"{str(source)!r}, which does not exist"
        raise ArgumentFileError("path", rule="be the file of a result document", got=got)
    try:
        content = read_json(source)
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
    # Before the checksum, which says less.
    wrong = wrong_entry(content, _ENTRIES)
    if wrong is not None:
        raise _refused(source, wrong)
    if not _checksum_fits(content):
        raise _refused(source, "was edited or damaged: its content does not match its checksum")
    entries = [dict(entry) for entry in content["cells"]]
    result_runs = tuple(entry.pop("run") for entry in entries)
    astray = next((place for place, run in enumerate(result_runs) if run >= len(content["runs"])), None)
    if astray is not None:
        run, known = result_runs[astray], len(content["runs"])
        raise _refused(source, f"has {run} as its entry `cells[{astray}].run`, a position in `runs`, which has {known}")
    results = tuple(_result(source, place, entry) for place, entry in enumerate(entries))
    twice = next((key for key, count in Counter(result.key for result in results).items() if count > 1), None)
    if twice is not None:
        raise _refused(source, f"holds {twice} twice among its `cells`")
    return ResultDocument(
        settings=content["settings"],
        notes=content["notes"],
        runs=tuple(content["runs"]),
        results=results,
        result_runs=result_runs,
    )


def _result(source: Path, place: int, entry: Mapping[str, Any]) -> MethodResult:
    try:
        return MethodResult.from_dict(entry)
    except ArgumentError as error:
        # What is an argument there is an entry here.
        is_whole = error.argument == "values"
        # As it is called on disk.
        field = {"setting": "cell"}.get(error.argument, error.argument)
        name = f"cells[{place}]" + ("" if is_whole else f".{field}")
        why = f"lacks or has too much in `{name}`" if is_whole else f"has {error.got} as its entry `{name}`"
        raise _refused(source, f"{why}, which must {error.rule}{f': {error.got}' if is_whole else ''}") from error


def save_document(path: str | os.PathLike[str], document: ResultDocument) -> Path:
    """Write ``document``; one result a line, so that a version control system shows what was added."""
    target = as_path("path", path)
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
    return _files.write_bytes(target, text.encode())


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


def _checksum_fits(content: dict[str, Any]) -> bool:
    recorded = content.pop("sha256", None)
    try:
        return recorded == _checksum(content)
    # Nested more deeply than can be written.
    except RecursionError:
        return False


def _checksum(content: dict[str, Any]) -> str:
    return _files.sha256(_files.canonical_json(content))


def _refused(source: Path, why: str) -> ArgumentValueError:
    return ArgumentValueError(
        "path",
        rule="be a whole and unedited result document",
        got=f"{str(source)!r}, which {why}",
        way_out="Restore it, or delete it and run its command again.",
    )
