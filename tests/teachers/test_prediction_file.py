from __future__ import annotations

import pytest
import torch

from lt_callbacks.teachers.prediction_file import predictions_key, read_predictions, write_predictions

FACTS = {"teacher": "a" * 64, "data": "b" * 64, "num_views": 0, "seed": None, "dtype": "float32"}


def table(dtype=torch.float32):
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    logits[2] = torch.nan
    return logits.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_table_comes_back_bit_for_bit(tmp_path, dtype):
    file = tmp_path / "new" / "table.safetensors"
    # Turned around: what is written is the content, however it lies in memory.
    write_predictions(file, table(dtype).t().contiguous().t(), FACTS)
    got = read_predictions(file, FACTS)
    assert got.dtype == dtype
    assert torch.equal(got.nan_to_num(), table(dtype).nan_to_num())
    assert torch.equal(got.isnan(), table(dtype).isnan())


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("data", "c" * 64, f"of data '{'c' * 64}'; they are of '{'b' * 64}'"),
        ("teacher", "d" * 64, f"of teacher '{'d' * 64}'"),
        ("num_views", 3, "of num_views 3; they are of 0"),
        ("precision", "bf16-mixed", "of precision 'bf16-mixed'; they are of None"),
    ],
)
def test_a_table_of_something_else_is_refused_by_name(tmp_path, name, value, shown):
    file = tmp_path / "table.safetensors"
    write_predictions(file, table(), FACTS)
    with pytest.raises(ValueError, match=rf"cached predictions '.*table.safetensors' must be {shown}"):
        read_predictions(file, {**FACTS, name: value})


def test_a_damaged_file_is_refused_by_name(tmp_path):
    file = tmp_path / "table.safetensors"
    write_predictions(file, table(), FACTS)
    whole = file.read_bytes()
    edited = bytearray(whole)
    edited[-1] ^= 1
    for content in (whole[:-4], bytes(edited), b"", b"{}"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="table.safetensors' must be as they were written; the file is truncated"):
            read_predictions(file, FACTS)
    file.unlink()
    with pytest.raises(
        FileNotFoundError, match="`path` must be a file .*; got '.*table.safetensors', which is not there"
    ):
        read_predictions(file, FACTS)


def test_every_fact_is_part_of_the_key():
    keys = {predictions_key({**FACTS, name: "x"}) for name in FACTS} | {predictions_key(FACTS)}
    assert len(keys) == len(FACTS) + 1
    assert predictions_key(dict(reversed(FACTS.items()))) == predictions_key(FACTS)
