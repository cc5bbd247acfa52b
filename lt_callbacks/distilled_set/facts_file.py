from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lt_callbacks._errors import ArgumentFileError, ArgumentTypeError, ArgumentValueError
from lt_callbacks._files import canonical_json, sha256, write_json
from lt_callbacks._json_file import Fields, read_json, wrong_entry


def json_values(name: str, values: object) -> dict[str, Any]:
    """A copy of the mapping ``values`` as JSON reads it back; ``name`` is the argument that an error names.

    Raises:
        TypeError: It is no mapping, or holds something that JSON has no word for, NaN included.
    """
    if not isinstance(values, Mapping):
        raise ArgumentTypeError(
            name, rule="be a mapping of JSON values", got=type(values).__name__, way_out="Pass a dict."
        )
    try:
        return json.loads(canonical_json(dict(values)))
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            name, rule="be JSON values", got=f"{dict(values)!r}: {error}", way_out="Convert them."
        ) from error


def facts_checksum(facts: Mapping[str, Any]) -> str:
    """SHA-256 of ``facts`` as JSON with sorted keys, the entry ``checksum`` left out."""
    return sha256(canonical_json({name: value for name, value in facts.items() if name != "checksum"}))


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write ``facts`` with their checksum as one JSON file, whole or not at all."""
    write_json(path, {**facts, "checksum": facts_checksum(facts)})


def read_facts(
    path: Path, *, kind: str, format_name: str, format_version: int, way_out: str, entries: Fields | None = None
) -> dict[str, Any]:
    """Read a JSON file that `write_facts` wrote, check it, and return its entries less the checksum.

    Args:
        path: The file, in the folder that the caller was given.
        kind: What the folder must hold, for errors.
        format_name: Expected in the entry ``format``.
        format_version: Expected in the entry ``format_version``.
        way_out: What to do about a file that is refused.
        entries: That it must have, and what each must be, whatever its checksum says.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of another format or version, lacks an entry or has one of another kind, which
            is named, or was edited.
    """
    if not path.is_file():
        raise ArgumentFileError("folder", rule=f"hold {kind}", got=f"no file {str(path)!r}", way_out="Check the path.")
    try:
        facts = read_json(path)
        checksum = facts_checksum(facts) if isinstance(facts, dict) else None
    except (ValueError, RecursionError) as error:
        raise refusal(path, kind, f"is damaged or truncated ({error})", way_out) from error
    if checksum is None or facts.get("format") != format_name:
        raise refusal(path, kind, f"has no entry `format` that reads {format_name!r}", way_out)
    if facts.get("format_version") != format_version:
        reason = f"has format version {facts.get('format_version')!r} where this release reads {format_version}"
        raise refusal(path, kind, reason, "Read it with the release that wrote it.")
    # Before the checksum, which says less.
    wrong = wrong_entry(facts, entries or {})
    if wrong:
        raise refusal(path, kind, wrong, way_out)
    if facts.pop("checksum", None) != checksum:
        raise refusal(path, kind, "was edited or damaged: its checksum does not fit its content", way_out)
    return facts


def refusal(path: Path, kind: str, reason: str, way_out: str) -> ArgumentValueError:
    """The error for a file that is there and cannot be trusted."""
    return ArgumentValueError(
        "folder", rule=f"hold {kind}, as it was written", got=f"{str(path)!r}, which {reason}", way_out=way_out
    )
