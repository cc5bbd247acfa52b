"""Files of NumPy arrays, whose declared sizes are checked before anything is allocated. NumPy only."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from lt_callbacks._errors import ArgumentValueError, DataError

#: What an ``.npz`` file may unpack to, as a multiple of its size on disk...
LARGEST_RATIO = 100
#: ...or in GiB, if that is more. The environment variable sets another number.
LARGEST_GIB = 1.0
LARGEST_GIB_VARIABLE = "LT_CALLBACKS_MAX_NPZ_GIB"

_CHUNK_BYTES = 1 << 24


def read_npy(path: Path) -> np.ndarray:
    """The array in an ``.npy`` file; one that declares more than the file holds is refused before it is allocated.

    Raises:
        ValueError: The file is truncated, damaged, or holds objects; the message leaves naming it to the caller.
    """
    try:
        with path.open("rb") as stream:
            return _array(stream, path.stat().st_size)
    except DataError:
        raise
    # NumPy reads a header as Python's literals, and lets through what its parser runs into: SyntaxError, TokenError...
    except Exception as error:
        raise DataError(_reason(error)) from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays in an ``.npz`` file by name, every byte held against the file's checksums.

    A small file that unpacks to very much is refused before it is unpacked: more than 100 times its size on disk and
    more than 1 GiB. ``LT_CALLBACKS_MAX_NPZ_GIB`` in the environment sets another number of GiB.

    Raises:
        ValueError: The file is truncated, damaged, too large, or holds objects; the message leaves naming it to the
            caller.
    """
    limit = _largest_gib() * 2**30
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            on_disk = path.stat().st_size
            if total > max(limit, LARGEST_RATIO * on_disk):
                raise DataError(
                    f"it unpacks to {total / 2**30:.3g} GiB, {total / max(on_disk, 1):.0f} times its size on disk; if "
                    f"you trust it, set {LARGEST_GIB_VARIABLE}={math.ceil(total / 2**30)} in the environment"
                )
            content = {}
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in content:
                    raise DataError(f"it has two entries {name!r}")
                with archive.open(entry) as stream:
                    content[name] = _array(stream, entry.file_size)
            return content
    except DataError:
        raise
    # As above, and of zip files BadZipFile, zlib.error, RuntimeError, NotImplementedError.
    except Exception as error:
        raise DataError(_reason(error)) from error


def _array(stream: IO[bytes], num_bytes: int) -> np.ndarray:
    """The one array in a stream of so many bytes."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        # Written for tables with columns only.
        raise DataError(f"it is of NumPy's format version {version[0]}.{version[1]}, which holds no plain array")
    shape, is_fortran, dtype = readers[version](stream)
    if any(length < 0 for length in shape):
        raise DataError(f"its header says shape {shape}, with a length below 0")
    if dtype.hasobject:
        raise DataError("it holds objects, which would have to be unpickled")
    declared, held = math.prod(shape) * dtype.itemsize, num_bytes - stream.tell()
    if declared != held:
        raise DataError(f"its header says {declared} bytes of {dtype} in shape {shape}, and there are {held}")
    array = np.zeros(math.prod(shape), dtype=dtype)
    _fill(array.view(np.uint8) if declared else np.empty(0, np.uint8), stream)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _fill(content: np.ndarray, stream: IO[bytes]) -> None:
    start = 0
    while start < len(content):
        chunk = stream.read(min(_CHUNK_BYTES, len(content) - start))
        if not chunk:
            raise DataError(f"it ends after {start} of {len(content)} bytes of content")
        content[start : start + len(chunk)] = np.frombuffer(chunk, np.uint8)
        start += len(chunk)
    # At its end a zip file compares the checksum.
    if stream.read(1):
        raise DataError("it goes on after its content")


def _largest_gib() -> float:
    text = os.environ.get(LARGEST_GIB_VARIABLE, "")
    try:
        limit = float(text) if text else LARGEST_GIB
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise ArgumentValueError(LARGEST_GIB_VARIABLE, rule="be a number of GiB > 0", got=repr(text))
    return limit


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].strip().rstrip(".")
