"""Documents whose entries are missing or of another type are refused by the entry's name, though their checksum fits."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from damaged_files import KINDS

from lt_callbacks._errors import UserError
from lt_callbacks._files import canonical_json, sha256, write_json

BY_FILE = {kind.name: kind for kind in KINDS}


def summed(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Puts the checksum of all other entries under ``name``."""

    def sign(content: dict[str, Any]) -> dict[str, Any]:
        body = {key: value for key, value in content.items() if key != name}
        return {**body, name: sha256(canonical_json(body))}

    return sign


def as_it_is(content: dict[str, Any]) -> dict[str, Any]:
    return content


#: Kind -> how its checksum is made, and entries whose content is the user's own or may be null.
DOCUMENTS = {
    "results, `metrics.json`": (summed("sha256"), {"settings", "extra", "notes", "versions"}),
    "manifest": (summed("checksum"), {"settings"}),
    "distilled set, `distilled.json`": (summed("checksum"), {"provenance"}),
    "soft labels, `soft_labels.json`": (summed("checksum"), {"calibration"}),
    "image folder, `image_folder.json`": (summed("checksum"), {"provenance"}),
    "trained model, `model.json`": (summed("checksum"), set()),
    "store, `teacher.json`": (as_it_is, {"settings"}),
    "sweep, `job.json`": (as_it_is, {"config"}),
    "benchmark, JSON": (as_it_is, {"settings", "cells", "versions"}),
}

#: Of shares and widths null says that there is none; so it does of what a job has not come to yet.
NULL_IS_FINE = {
    "notes", "calibration", "many", "medium", "few", "best_accuracy", "wrong_labels_fitted", "width", "seconds", "error", "value",
}  # fmt: skip

#: What a message says of them: "has no format", "was edited".
SAID_IN_WORDS = {"format", "format_version", "sha256", "checksum"}

OF_OTHER_TYPES = [None, True, 7, 0.5, "text", [], [None], [["a"]], {}, {"a": None}]


def places(content: Any, free: set[str], path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each entry is, those in objects and in the first object of a list too."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield (*path, name)
            if name not in free:
                yield from places(value, free, (*path, name))
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        yield from places(content[0], free, (*path, 0))


def changed(content: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A copy with another value at a place; without the entry for the value ``...``."""
    copy = json.loads(json.dumps(content))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return copy


def is_of_type(value: Any, other: Any) -> bool:
    # An integer does for any number.
    numbers = (int, float)
    if type(value) in numbers and type(other) in numbers:
        return type(value) is float or type(other) is int
    return type(value) is type(other) and not isinstance(value, list | dict)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_entry_that_is_missing_or_mistyped_is_named(tmp_path: Path, name: str):
    sign, free = DOCUMENTS[name]
    kind = BY_FILE[name]
    path = kind.make(tmp_path)
    content, whole = json.loads(path.read_text()), kind.read(path)
    num_refused, failures = 0, []
    for place in places(content, free):
        entry = content
        for step in place:
            entry = entry[step]
        last = str(place[-1])
        values = [value for value in OF_OTHER_TYPES if not is_of_type(entry, value) and value != entry]
        if last in NULL_IS_FINE:
            values = [value for value in values if isinstance(value, bool | list | dict)]
        values = [value for value in values if not (isinstance(value, list | dict) and isinstance(value, type(entry)))]
        for value in (..., *values):
            write_json(path, sign(changed(content, place, value)))
            what = f"{place} = {value!r}"
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = kind.read(path)
            except UserError as error:
                num_refused += 1
                if path.name not in str(error) and str(path.parent) not in str(error):
                    failures.append(f"{what}: no file in {error}")
                elif not re.search(rf"\b{re.escape(last)}\b", str(error)) and last not in SAID_IN_WORDS:
                    failures.append(f"{what}: no entry in {error}")
            except Exception as error:
                failures.append(f"{what}: {type(error).__name__}: {error}")
            else:
                # What nothing is made of may be anything.
                if found != whole:
                    failures.append(f"{what}: read as {found}")
    assert not failures, "\n".join(failures[:20])
    print(f"{name}: {num_refused} refused")
    assert num_refused > 20
