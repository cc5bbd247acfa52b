import hashlib

import numpy as np
import pytest
import torch

from lt_callbacks.distilled_set import tensor_bytes
from lt_callbacks.distilled_set.tensor_bytes import sha256_of, sha256_of_file


def test_parts_are_hashed_one_after_the_other():
    numbers = torch.tensor([[1, 2], [3, 256]])
    little_endian = b"".join(value.to_bytes(8, "little") for value in (1, 2, 3, 256))
    expected = hashlib.sha256(b"head" + little_endian + b"\x07").hexdigest()
    assert sha256_of(b"head", numbers, np.array([7], dtype=np.uint8)) == expected


def test_memory_order_does_not_count():
    numbers = torch.arange(12.0).view(3, 4)
    assert sha256_of(numbers.t().contiguous().t()) == sha256_of(numbers)
    assert sha256_of(numbers.t()) != sha256_of(numbers)


def test_byte_order_does_not_count():
    numbers = np.arange(5, dtype="<i4")
    assert sha256_of(numbers.astype(">i4")) == sha256_of(numbers) == hashlib.sha256(numbers.tobytes()).hexdigest()


def test_nothing_is_something_to_hash():
    assert sha256_of(np.zeros((3, 0), dtype=np.uint8)) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("num_bytes", [0, 1, 63, 64, 65, 200])
def test_a_file_is_hashed_in_pieces(tmp_path, monkeypatch, num_bytes):
    monkeypatch.setattr(tensor_bytes, "_CHUNK_BYTES", 64)
    content = bytes(range(200))[:num_bytes]
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
