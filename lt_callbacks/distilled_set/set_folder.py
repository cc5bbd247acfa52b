# A distilled set on disk: `images.safetensors`, and `distilled.json`, which is written last and makes it one.
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks._files import sha256, write_bytes
from lt_callbacks._json_file import NUMBERS, OBJECT, SHA256, TEXTS, Fields
from lt_callbacks.distilled_set.facts_file import read_facts, refusal, write_facts
from lt_callbacks.distilled_set.tensor_bytes import sha256_of_file

FORMAT = "lt_callbacks.distilled_set"
FORMAT_VERSION = 1
FACTS = "distilled.json"
IMAGES = "images.safetensors"

_TENSORS = ("images", "intended_class")
_ENTRIES: Fields = {
    "sha256": SHA256,
    "class_names": TEXTS,
    "mean": NUMBERS,
    "std": NUMBERS,
    "provenance": OBJECT,
    "files": {IMAGES: SHA256},
}
_KIND = "a whole distilled set"
_WAY_OUT = "Restore the folder from where it came, or distil again into another one."


def write_set(folder: Path, *, content_sha256: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write a distilled set into ``folder``, unless it is there already.

    Raises:
        ValueError: The folder holds another set, a damaged one, or other images.
    """
    from safetensors.torch import save

    if (folder / FACTS).exists():
        found = _read_facts(folder)["sha256"]
        if found == content_sha256:
            return folder
        raise ArgumentValueError(
            "folder",
            rule="be new or hold this very set",
            got=f"{str(folder)!r}, which holds a distilled set with sha256 {found[:12]}... where this one has "
            f"{content_sha256[:12]}...",
            way_out="Save it to another folder.",
        )
    content = save(dict(tensors))
    if (folder / IMAGES).exists() and sha256_of_file(folder / IMAGES) != sha256(content):
        raise ArgumentValueError(
            "folder",
            rule="be new or hold this very set",
            got=f"{str(folder)!r}, which holds another {IMAGES} and no {FACTS}",
            way_out="Save to another folder, or delete that file.",
        )
    write_bytes(folder / IMAGES, content)
    write_facts(
        folder / FACTS,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "sha256": content_sha256,
            **facts,
            "files": {IMAGES: sha256(content)},
        },
    )
    return folder


def read_set(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of the distilled set in ``folder``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is truncated, was edited or is of another format version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts = _read_facts(folder)
    path = folder / IMAGES
    if not path.is_file():
        raise ArgumentFileError("folder", rule=f"hold {_KIND}", got=f"no file {str(path)!r}", way_out=_WAY_OUT)
    if sha256_of_file(path) != facts["files"][IMAGES]:
        raise damaged(path, f"is truncated or was edited: its checksum is not the one in {FACTS}")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise damaged(path, f"is no file of tensors ({error})") from error
    missing = next((name for name in _TENSORS if name not in tensors), None)
    if missing:
        raise damaged(path, f"lacks the tensor `{missing}`")
    return facts, tensors


def damaged(path: Path, reason: str) -> ArgumentValueError:
    """The error for a file of a distilled set that cannot be trusted."""
    return refusal(path, _KIND, reason, _WAY_OUT)


def _read_facts(folder: Path) -> dict[str, Any]:
    return read_facts(
        folder / FACTS,
        kind=_KIND,
        format_name=FORMAT,
        format_version=FORMAT_VERSION,
        way_out=_WAY_OUT,
        entries=_ENTRIES,
    )
