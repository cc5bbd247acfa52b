from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lt_callbacks._errors import ArgumentFileError, DataError
from lt_callbacks._files import canonical_json, sha256, write_bytes
from lt_callbacks._json_file import INTEGER, OBJECT, SHA256, wrong_entry
from lt_callbacks.teachers.frozen import tensors_sha256

FORMAT_VERSION = 1

_TENSOR = "log_probs"


def predictions_key(facts: Mapping[str, Any]) -> str:
    """64 hexadecimal digits for a table that was made from ``facts`` (JSON values)."""
    return sha256(canonical_json({"format": FORMAT_VERSION, **facts}))


def write_predictions(path: Path, table: Tensor, facts: Mapping[str, Any]) -> None:
    """Write a (N, C) table of log-probabilities as safetensors, with what it was made from in the header."""
    from safetensors.torch import save

    tensors = {_TENSOR: table.detach().cpu().contiguous()}
    header = {"format": FORMAT_VERSION, "facts": dict(facts), "sha256": tensors_sha256(tensors)}
    write_bytes(path, save(tensors, metadata={"lt_callbacks": canonical_json(header).decode()}))


def read_predictions(path: Path, facts: Mapping[str, Any]) -> Tensor:
    """The (N, C) table in ``path``, on the CPU, if it was made from ``facts``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or edited, or was made from something else, which the message names.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise ArgumentFileError(
            "path", rule="be a file of cached predictions", got=f"{str(path)!r}, which is not there"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["lt_callbacks"])
            table: Tensor = file.get_tensor(_TENSOR)
    # safetensors has errors of its own, none of which names the file.
    except Exception as error:
        raise _damaged(path, f"{type(error).__name__} from reading it") from error
    wrong = wrong_entry(header, {"format": INTEGER, "sha256": SHA256, "facts": OBJECT})
    if wrong:
        raise _damaged(path, f"its header {wrong}")
    if header["format"] != FORMAT_VERSION or header["sha256"] != tensors_sha256({_TENSOR: table}):
        raise _damaged(path, "its table does not fit the checksum in its header")
    made_from = header["facts"]
    for name, expected in facts.items():
        if made_from.get(name) != expected:
            raise DataError(
                f"The cached predictions {str(path)!r} must be of {name} {expected!r}; they are of "
                f"{made_from.get(name)!r}. Delete the file and they are made again."
            )
    return table


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"The cached predictions {str(path)!r} must be as they were written; the file is truncated or edited ({why}). "
        "Delete it and they are made again."
    )
