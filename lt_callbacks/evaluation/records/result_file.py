from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lt_callbacks.evaluation.records.json_result import ResultDocument, read_result, run_record, save_document
from lt_callbacks.evaluation.records.results import CellResult, json_object


class ResultFile:
    """A result document that grows by one finished cell at a time, so that a long experiment can stop and go on.

    After each ``append`` the file on disk is whole. Several processes may append to one file: each reads it again
    under a lock (`.NAME.lock` beside it) before it writes. Nothing is written before the first cell.

    Args:
        path: The document; an existing one is continued.
        command: Command line that is running.
        settings: What all cells have in common. It must equal that of an existing document.
        notes: What a reader must know; replaces the notes of an existing document unless ``None``.

    Raises:
        ValueError: The existing document has other settings, another format version, or is damaged or edited.

    Example:
        >>> file = ResultFile("docs/results/digits.json", command="...", settings={"ratio": 0.4})  # doctest: +SKIP
        >>> for seed in range(10):  # doctest: +SKIP
        ...     if not file.is_finished(method="CE", seed=seed):
        ...         file.append(train(seed))
    """

    def __init__(
        self, path: str | os.PathLike[str], *, command: str, settings: Mapping[str, Any], notes: str | None = None
    ) -> None:
        self.path = Path(path)
        self._command = command
        self._settings = json_object("settings", settings)
        self._notes = notes
        self._document = self._read()

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """Finished cells, as of the last look at the file."""
        return self._document.cells

    def is_finished(self, *, method: str, seed: int, cell: str = "") -> bool:
        """Whether this cell is in the file, as of the last look at it."""
        return (method, seed, cell) in {finished.key for finished in self.cells}

    def append(self, result: CellResult) -> None:
        """Add a finished cell.

        Raises:
            ValueError: The cell is there already, or the file was changed by something else meanwhile.
        """
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            self._document = self._read()
            if self.is_finished(method=result.method, seed=result.seed, cell=result.cell):
                raise ValueError(
                    f"`result` must be a new cell; {str(self.path)!r} holds {result.key} already. "
                    "Ask `is_finished` first, or write to another file."
                )
            runs, position = _with_run(self._document.runs, run_record(self._command))
            self._document = replace(
                self._document,
                runs=runs,
                cells=(*self._document.cells, result),
                cell_runs=(*self._document.cell_runs, position),
            )
            save_document(self.path, self._document)

    def _read(self) -> ResultDocument:
        if not self.path.exists():
            return ResultDocument(settings=self._settings, notes=self._notes, runs=(), cells=(), cell_runs=())
        document = read_result(self.path)
        names = sorted(self._settings.keys() | document.settings.keys())
        missing = object()
        other = [n for n in names if self._settings.get(n, missing) != document.settings.get(n, missing)]
        if other:
            name = other[0]
            raise ValueError(
                f"`settings` must equal those of the document that is continued; {str(self.path)!r} has "
                f"{name} = {document.settings.get(name, 'nothing')!r}, got {self._settings.get(name, 'nothing')!r}. "
                "Write to another file."
            )
        return document if self._notes is None else replace(document, notes=self._notes)


def _with_run(runs: tuple[dict[str, Any], ...], run: dict[str, Any]) -> tuple[tuple[dict[str, Any], ...], int]:
    """The runs with this one in them, and its position; the same command on the same machine counts once."""
    for position, known in enumerate(runs):
        if {**known, "date": None} == {**run, "date": None}:
            return runs, position
    return (*runs, run), len(runs)
