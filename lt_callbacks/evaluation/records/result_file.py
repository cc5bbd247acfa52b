from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._folder_lock import locked_folder
from lt_callbacks.evaluation.records.json_result import ResultDocument, read_result, run_record, save_document
from lt_callbacks.evaluation.records.method_result import MethodResult, json_object


class ResultFile:
    """A result document that grows by one result at a time, so that a long experiment can stop and go on.

    After each ``append`` the file on disk is whole. Several processes may append to one file: each reads it again
    before it writes, and no other writes meanwhile. Nothing is written before the first result, and nothing but the
    document stays.

    Args:
        path: The document; an existing one is continued.
        command: Command line that is running.
        settings: What all results have in common. It must equal that of an existing document.
        notes: What a reader must know; replaces the notes of an existing document unless ``None``.

    Raises:
        ValueError: The existing document has other settings, another format version, or is damaged or edited.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> scores = {"accuracy": 62.1, "many": 76.4, "medium": 67.6, "few": 40.3, "per_class": [70.0, 54.2]}
        >>> with TemporaryDirectory() as folder:
        ...     file = ResultFile(f"{folder}/digits.json", command="lt-train ...", settings={"noise.ratio": 0.4})
        ...     for seed in range(3):
        ...         if not file.is_finished(method="CE", seed=seed):
        ...             file.append(MethodResult(method="CE", seed=seed, seconds=1.5, **scores))
        ...     len(file.results)
        3
    """

    def __init__(
        self, path: str | os.PathLike[str], *, command: str, settings: Mapping[str, Any], notes: str | None = None
    ) -> None:
        self.path = as_path("path", path)
        self._command = command
        self._settings = json_object("settings", settings)
        self._notes = notes
        self._seen: tuple[int, ...] | None = None
        self._document = self._read()

    @property
    def results(self) -> tuple[MethodResult, ...]:
        """Results in the file, as of the last look at it."""
        return self._document.results

    def is_finished(self, *, method: str, seed: int, setting: str = "") -> bool:
        """Whether the file holds a result of this method and seed at this setting, as of the last look at it."""
        return (method, seed, setting) in {finished.key for finished in self.results}

    def look_again(self) -> None:
        """Read what other processes added since the last look.

        Raises:
            ValueError: The file was changed by something else meanwhile.
        """
        if _state_of(self.path) != self._seen:
            self._document = self._read()

    def append(self, result: MethodResult) -> None:
        """Add a result, and write the file.

        Raises:
            ValueError: The result is there already, or the file was changed by something else meanwhile.
        """
        if not self.append_if_missing(result):
            raise ArgumentValueError(
                "result",
                rule=f"be one that {str(self.path)!r} does not hold yet",
                got=f"{result.key} again",
                way_out="Leave it out, or write to another file.",
            )

    def append_if_missing(self, result: MethodResult) -> bool:
        """Add a result and write the file, unless it holds one of that method, seed and setting.

        Returns:
            Whether it was added. If not, another process was faster, and its result is the one that is kept.

        Raises:
            ValueError: The file was changed by something else meanwhile.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(self.path.parent, name=self.path.name):
            # Nobody else writes now: what lies here is of a process that was killed while it wrote.
            _files.remove_leftovers(self.path.parent, name=self.path.name)
            self._document = self._read()
            if self.is_finished(method=result.method, seed=result.seed, setting=result.setting):
                return False
            runs, position = _with_run(self._document.runs, run_record(self._command))
            self._document = replace(
                self._document,
                runs=runs,
                results=(*self._document.results, result),
                result_runs=(*self._document.result_runs, position),
            )
            save_document(self.path, self._document)
            self._seen = _state_of(self.path)
        return True

    def _read(self) -> ResultDocument:
        self._seen = _state_of(self.path)
        if self._seen is None:
            return ResultDocument(settings=self._settings, notes=self._notes, runs=(), results=(), result_runs=())
        document = read_result(self.path)
        names = sorted(self._settings.keys() | document.settings.keys())
        missing = object()
        other = [n for n in names if self._settings.get(n, missing) != document.settings.get(n, missing)]
        if other:
            name = other[0]
            theirs, ours = (held.get(name, "nothing") for held in (document.settings, self._settings))
            # Of a group only what differs: the rest would hide it.
            while isinstance(theirs, dict) and isinstance(ours, dict):
                inner = next(
                    n for n in sorted(theirs.keys() | ours.keys()) if theirs.get(n, "nothing") != ours.get(n, "nothing")
                )
                name = f"{name}.{inner}"
                theirs, ours = theirs.get(inner, "nothing"), ours.get(inner, "nothing")
            raise ArgumentValueError(
                "settings",
                rule="equal those of the document that is continued",
                got=f"{name} = {ours!r} where {str(self.path)!r} has {theirs!r}",
                way_out="Write to another file, or go on with what it was made with.",
            )
        return document if self._notes is None else replace(document, notes=self._notes)


def _state_of(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _with_run(runs: tuple[dict[str, Any], ...], run: dict[str, Any]) -> tuple[tuple[dict[str, Any], ...], int]:
    """The runs with this one in them, and its position; the same command on the same machine counts once."""
    for position, known in enumerate(runs):
        if {**known, "date": None} == {**run, "date": None}:
            return runs, position
    return (*runs, run), len(runs)
