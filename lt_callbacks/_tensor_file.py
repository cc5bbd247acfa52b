"""Files of tensors, checked before and after they are read. Torch only."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_callbacks._errors import DataError

_ZIP_START = b"PK\x03\x04"


def read_torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote, its tensors on the CPU; nothing but tensors and plain values is unpickled.

    torch itself checks no checksum. Here every byte of the content is held against those that ``torch.save`` has
    written into the file since torch 1.6, a zip: a flipped bit in a weight is found. Files of the form before that
    have none: of them only what breaks their structure is found.

    Raises:
        ValueError: The file is damaged: it is truncated, or an entry does not fit its checksum.
        Exception: Whatever torch raises on a file of another kind.
    """
    with path.open("rb") as stream:
        is_zip = stream.read(len(_ZIP_START)) == _ZIP_START
    if is_zip:
        _check_zip(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores its entries as they are: one that is packed may unpack to more than the memory.
            packed = next((entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED), None)
            if packed is not None:
                raise DataError(f"its entry {packed.filename!r} is packed, as torch.save does not write it")
            wrong = archive.testzip()
    # Of damaged structure zipfile raises kinds of all sorts, ValueError and UnicodeDecodeError among them.
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"it is truncated or damaged: {error or type(error).__name__}") from error
    if wrong is not None:
        raise DataError(
            f"its entry {wrong!r} does not fit its checksum (nor does it where the file was saved after "
            "torch.serialization.set_crc32_options(False))"
        )


def nonfinite_entry(state: Any, *, like: Mapping[str, Tensor] | None = None) -> str | None:
    """Name and content of the first tensor with a NaN or an infinity, such as "NaN in 'head.weight'"; None: all finite.

    Args:
        state: A state dict, or any nest of dictionaries, lists and tensors; what is none of these is passed over.
        like: The state dict of a fresh module. An infinity that this has in the same place is a constant of the
            module, such as a mask, and no damage.
    """
    for name, value in _tensors(state, ""):
        if not (value.is_floating_point() or value.is_complex()):
            continue
        is_bad = ~value.isfinite()
        own = None if like is None else like.get(name)
        if own is not None and own.shape == value.shape and bool(is_bad.any()):
            # NaN is equal to nothing.
            is_bad &= own.to(value.device) != value
        if bool(is_bad.any()):
            return f"{'NaN' if bool(value.isnan().any()) else 'infinity'} in {name!r}"
    return None


def _tensors(content: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for position, value in enumerate(content):
            yield from _tensors(value, f"{name}[{position}]")
