from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from torch import Tensor

_CHUNK_BYTES = 1 << 22


def sha256_of(*parts: bytes | Tensor | np.ndarray) -> str:
    """Hexadecimal SHA-256 of bytes and arrays one after the other, arrays as little-endian bytes in C order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            digest.update(part)
            continue
        array = part.numpy() if isinstance(part, Tensor) else part
        flat = array.astype(array.dtype.newbyteorder("<"), copy=False).reshape(-1)
        digest.update(flat.view(np.uint8).data)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, which may be larger than the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
