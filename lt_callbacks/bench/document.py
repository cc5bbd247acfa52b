from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks.bench.threads import threads_in_use
from lt_callbacks.evaluation import hardware

FORMAT = "lt_callbacks bench"
FORMAT_VERSION = 1

#: Distribution -> how tables call it; those that are not installed are named as missing.
LIBRARIES = {
    "torch": "torch",
    "numpy": "numpy",
    "lightning": "lightning",
    "torchvision": "torchvision",
    "triton": "Triton",
    "numba": "numba",
    "POT": "POT",
    "geomloss": "GeomLoss",
    "ott-jax": "OTT-JAX",
    "jax": "JAX",
}


class BenchDocument:
    """One kind of measurement in one file; every finished cell is on disk at once, and is not measured again.

    Args:
        path: The JSON file; continued if it is there.
        kind: The sub-command.
        settings: All that the cells have in common. Another machine, other versions or other settings are refused: a
            table would compare what was not measured side by side.
        command: As somebody else would type it.

    Raises:
        ValueError: The file is no such document, or was made with other settings, versions or hardware.
    """

    def __init__(self, path: Path, *, kind: str, settings: Mapping[str, Any], command: str) -> None:
        self.path = path
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "command": command,
            "settings": json.loads(json.dumps(dict(settings))),
            "hardware": {**hardware(), "threads": threads_in_use()["torch"]},
            "versions": library_versions(),
            "missing": missing_libraries(),
            "cells": {},
        }
        if path.is_file():
            self._continue(read_bench(path))

    @property
    def cells(self) -> dict[str, Any]:
        """Name -> what was measured."""
        return self.content["cells"]

    def add(self, name: str, cell: Mapping[str, Any]) -> None:
        """Keep a finished cell, in the file too."""
        self.cells[name] = dict(cell)
        self.content["thread_pools"] = threads_in_use()
        _files.write_json(self.path, self.content)

    def _continue(self, before: dict[str, Any]) -> None:
        for part in ("kind", "settings", "hardware", "versions"):
            old, new = before.get(part), self.content[part]
            if old != new:
                here, there = _difference(new, old), _difference(old, new)
                raise ValueError(
                    f"`--output` must hold measurements of one kind and setting; {self.path} has {part} {there} where "
                    f"this run has {here}. Name another folder, or delete the file."
                )
        self.content["cells"] = before["cells"]


def read_bench(path: Path) -> dict[str, Any]:
    """The document in a file.

    Raises:
        ValueError: It is not one, or of another format version.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"`FILE` must be a document of lt-bench; {path} cannot be read: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"`FILE` must be a document of lt-bench; {path} is something else. Name its JSON file.")
    if content.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"`FILE` must have format version {FORMAT_VERSION}; {path} has {content.get('format_version')!r}. Measure "
            "anew, or use the release that wrote it."
        )
    return content


def library_versions() -> dict[str, str | None]:
    """Version of Python and of each timed library; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def missing_libraries() -> list[str]:
    """Of `LIBRARIES`, those that are not installed."""
    return [label for name, label in LIBRARIES.items() if _version(name) is None]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _difference(part: Any, other: Any = None) -> str:
    """The entries in which two parts differ; all of one that has no entries."""
    if isinstance(part, dict) and isinstance(other, dict):
        return str({name: value for name, value in part.items() if other.get(name) != value})
    return str(part)
