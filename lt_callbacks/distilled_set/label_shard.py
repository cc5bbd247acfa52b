# The labels of one view on disk: a safetensors file whose metadata says which view of which store it is.
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lt_callbacks._errors import ArgumentFileError
from lt_callbacks._files import canonical_json, write_bytes
from lt_callbacks.distilled_set.facts_file import refusal
from lt_callbacks.distilled_set.label_facts import FACTS, KIND
from lt_callbacks.distilled_set.tensor_bytes import sha256_of

#: Dtype and shape of each part.
Layout = Mapping[str, tuple[type[np.generic], tuple[int, ...]]]
#: Inode, size and time of change.
FileIdentity = tuple[int, int, int, int]

#: Entry of the safetensors metadata: JSON with ``view``, ``facts`` and ``checksum``.
METADATA = "soft_labels"

_WAY_OUT = "Restore it, or delete it and write that view again."
_DTYPES = {np.uint8: "U8", np.uint16: "U16", np.float16: "F16"}
# Of a sane file; a broken length must not make us read gigabytes.
_MAX_HEADER_BYTES = 1 << 20


def shard_path(folder: Path, view: int) -> Path:
    """Path of the file with the labels of ``view``."""
    return folder / f"view-{view:05d}.safetensors"


def write_shard(folder: Path, parts: Mapping[str, np.ndarray], *, view: int, facts: str) -> Path:
    """Write the labels of one view with their checksum, whole or not at all.

    Args:
        folder: Of the store.
        parts: Name -> array.
        view: Number of the view.
        facts: Checksum of the store's facts.

    Returns:
        Path of the file.
    """
    from safetensors.numpy import save

    identity = {"view": view, "facts": facts, "checksum": _checksum(parts, view=view, facts=facts)}
    # One entry: safetensors writes several in any order, and equal labels should be equal files.
    metadata = {METADATA: canonical_json(identity).decode()}
    return write_bytes(shard_path(folder, view), save(dict(parts), metadata=metadata))


def open_shard(
    folder: Path, layout: Layout, *, view: int, facts: str, checked: FileIdentity | None = None
) -> tuple[dict[str, np.ndarray], FileIdentity]:
    """The labels of one view as read-only memory maps, and which file they are read from.

    Args:
        folder: Of the store.
        layout: Dtype and shape of each part.
        view: Number of the view.
        facts: Checksum of the store's facts.
        checked: The file whose bytes were checked before; they are checked if this is another one.

    Raises:
        FileNotFoundError: The view was not written yet.
        ValueError: The file is truncated, was edited, or is of another view or store.
    """
    path = shard_path(folder, view)
    if not path.is_file():
        raise ArgumentFileError(
            "view",
            rule="be one that is written",
            got=f"a view that has no file {str(path)!r}",
            way_out="Write it first; `missing_views()` lists all that are to do.",
        )
    status = path.stat()
    identity = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    header, start = _read_header(path)
    metadata = _metadata(path, header)
    if metadata.get("view") != view:
        raise _refused(path, f"holds view {metadata.get('view')}: it was renamed or edited")
    if metadata.get("facts") != facts:
        raise _refused(path, f"belongs to another store: its `facts` are not the checksum in {FACTS}")
    offsets = _offsets(path, header, layout, start=start)
    parts = {name: _mapped(path, *layout[name], offset=offset) for name, offset in offsets.items()}
    if identity != checked and _checksum(parts, view=view, facts=facts) != metadata.get("checksum"):
        raise _refused(path, "was edited or damaged: its checksum does not fit its content")
    return parts, identity


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The safetensors header, and the position at which the data begins."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        content = stream.read(min(length, _MAX_HEADER_BYTES))
    try:
        header = json.loads(content) if len(content) == length else None
    # The second: nested more deeply than Python reads.
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise _refused(path, "is truncated or damaged: it has no safetensors header")
    return header, 8 + length


def _metadata(path: Path, header: Mapping[str, Any]) -> dict[str, Any]:
    try:
        metadata = json.loads(header["__metadata__"][METADATA])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _refused(path, f"is damaged or no shard: it has no metadata `{METADATA}`") from error
    return metadata if isinstance(metadata, dict) else {}


def _offsets(path: Path, header: Mapping[str, Any], layout: Layout, *, start: int) -> dict[str, int]:
    """Where in the file each part begins, after dtypes, shapes and the file's size were found to be right."""
    offsets, end = {}, start
    for name, (dtype, shape) in layout.items():
        found = header.get(name, {})
        begin = next((place for place in found.get("data_offsets") or () if isinstance(place, int)), -1)
        num_bytes = np.dtype(dtype).itemsize * math.prod(shape)
        expected = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, begin + num_bytes]}
        if found != expected or begin < 0:
            raise _refused(path, f"has no `{name}` of dtype {_DTYPES[dtype]} and shape {list(shape)}; got {found}")
        offsets[name] = start + begin
        end = max(end, start + begin + num_bytes)
    size = path.stat().st_size
    if size != end:
        raise _refused(path, f"is truncated or damaged: it has {size} bytes where its header says {end}")
    return offsets


def _mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...], *, offset: int) -> np.ndarray:
    # An empty part (no gaps, for one class a label) cannot be mapped.
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    return np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="r", shape=shape, offset=offset)


def _checksum(parts: Mapping[str, np.ndarray], *, view: int, facts: str) -> str:
    """Over view, facts and the parts in the order of their names."""
    return sha256_of(canonical_json({"view": view, "facts": facts}) + b"\n", *(parts[name] for name in sorted(parts)))


def _refused(path: Path, reason: str) -> ValueError:
    return refusal(path, KIND, reason, _WAY_OUT)
