from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lt_callbacks import _files
from lt_callbacks._errors import ArgumentValueError, DataError
from lt_callbacks._json_file import COUNT, INTEGER, OBJECT, TEXT, TEXTS, VERSIONS, Fields, read_json, wrong_entry
from lt_callbacks.bench.threads import threads_in_use
from lt_callbacks.evaluation import hardware

FORMAT = "lt_callbacks bench"
FORMAT_VERSION = 1

# The keys of a file stay as they are: `cells` was the word for measurements, and the kind of trainings was `cell`.
_MEASUREMENTS = "cells"
_FORMER_KINDS = {"cell": "training"}

_ENTRIES: Fields = {
    "kind": TEXT,
    "command": TEXT,
    "settings": OBJECT,
    "hardware": {"cpu": TEXT, "num_cores": COUNT, "system": TEXT, "gpus": TEXTS, "threads": INTEGER},
    "versions": VERSIONS,
    "missing": TEXTS,
    _MEASUREMENTS: OBJECT,
}

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
    """One kind of measurement in one file: each is on disk as soon as it is finished, and is not taken again.

    Args:
        path: The JSON file; continued if it is there.
        kind: The sub-command.
        settings: All that the measurements have in common. Another machine, other versions or other settings are
            refused: a table would compare what was not measured side by side.
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
            _MEASUREMENTS: {},
        }
        if path.is_file():
            self._continue(read_bench(path))

    @property
    def measurements(self) -> dict[str, Any]:
        """What was measured, by the name of the problem or setting."""
        return measurements_of(self.content)

    def add(self, name: str, measurement: Mapping[str, Any]) -> None:
        """Keep a finished measurement, in the file too."""
        self.measurements[name] = dict(measurement)
        self.content["thread_pools"] = threads_in_use()
        _files.write_json(self.path, self.content)

    def _continue(self, before: dict[str, Any]) -> None:
        for part in ("kind", "settings", "hardware", "versions"):
            old, new = before.get(part), self.content[part]
            if old != new:
                here, there = _difference(new, old), _difference(old, new)
                raise ArgumentValueError(
                    "--output",
                    rule="hold measurements of one kind and setting",
                    got=f"{self.path}, which has {part} {there} where this run has {here}",
                    way_out="Name another folder, or delete the file.",
                )
        self.content[_MEASUREMENTS] = measurements_of(before)


def read_bench(path: Path) -> dict[str, Any]:
    """The document in a file, also one that a former version of the command wrote.

    Raises:
        ValueError: The file is no document of lt-bench, is of another format version, or lacks an entry or has one of
            another kind, which is named.
    """
    try:
        content = read_json(path)
    except DataError as error:
        raise _not_a_document(f"{path}, which cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _not_a_document(f"{path}, which is something else")
    if content.get("format_version") != FORMAT_VERSION:
        raise ArgumentValueError(
            "FILE",
            rule=f"have format version {FORMAT_VERSION}",
            got=f"{content.get('format_version')!r} in {path}",
            way_out="Measure anew, or use the release that wrote it.",
        )
    wrong = wrong_entry(content, _ENTRIES)
    if wrong:
        raise _not_a_document(f"{path}, which {wrong}")
    return {**content, "kind": _FORMER_KINDS.get(content["kind"], content["kind"])}


def measurements_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The measurements that a document holds, by name."""
    return content[_MEASUREMENTS]


def library_versions() -> dict[str, str | None]:
    """Version of Python and of each timed library; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def missing_libraries() -> list[str]:
    """Titles of the timed libraries that are not installed."""
    return [title for name, title in LIBRARIES.items() if _version(name) is None]


def _not_a_document(got: str) -> ArgumentValueError:
    return ArgumentValueError("FILE", rule="be a document of lt-bench", got=got, way_out="Name its JSON file.")


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
