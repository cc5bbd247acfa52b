from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from no_host_reads import FakeCuda

from lt_callbacks._tensors import can_be_read, check_floating, check_integers, check_range, is_integer, kind_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.zeros(2), "torch.float32"),
        (torch.eye(2).to_sparse(), "torch.float32 as torch.sparse_coo"),
        (np.zeros(2), "ndarray"),
        ([1], "list"),
        (None, "NoneType"),
    ],
)
def test_what_was_passed_is_said_in_a_word(value, expected):
    assert kind_of(value) == expected


def test_an_array_is_refused_with_the_way_to_a_tensor():
    with pytest.raises(
        TypeError, match=r"^`x` must be a floating tensor; got ndarray. Pass `torch.as_tensor\(...\)`.$"
    ):
        check_floating("x", np.zeros(2))
    with pytest.raises(TypeError, match=r"^`x` must be a floating tensor; got torch.int64.$"):
        check_floating("x", torch.zeros(2, dtype=torch.int64))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        check_floating("x", torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("value", [torch.zeros(2), torch.ones(2).bool(), torch.ones(2) * 1j, np.ones(2, int), [0, 1]])
def test_what_is_no_tensor_of_integers_is_refused(value):
    assert not is_integer(value)
    with pytest.raises(TypeError, match="^`x` must be a tensor of integers; got .*. Look.$"):
        check_integers("x", value, way_out="Look.")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64])
def test_integers_of_any_width_are_integers(dtype):
    check_integers("x", torch.zeros(2, dtype=dtype), way_out="")


@pytest.mark.parametrize(
    ("numbers", "ignored", "some_ignored"),
    [([], None, False), ([0, 2], None, False), ([0, 2], -100, False), ([0, -100], -100, True), ([0, 1], 1, True)],
)
def test_numbers_in_range_are_let_by(numbers, ignored, some_ignored):
    found = check_range("x", torch.tensor(numbers, dtype=torch.int64), below=3, way_out="", ignored=ignored)
    assert found is some_ignored


@pytest.mark.parametrize(
    ("numbers", "ignored", "message"),
    [
        ([0, 3, 4], None, "`x` must lie in 0..2; got 3 at position 1. Look."),
        ([0, -1], -100, "`x` must lie in 0..2; got -1 at position 1. Look."),
        ([-100, 5], -100, "`x` must lie in 0..2; got 5 at position 1. Look."),
        ([-100, 0], None, "`x` must lie in 0..2; got -100 at position 0. Look."),
        ([1, 2, 3], None, "`x` must lie in 0..2; got 3 at position 2. They count from 1: subtract 1."),
        ([-100, 1, 3], -100, "`x` must lie in 0..2; got 3 at position 2. They count from 1: subtract 1."),
    ],
)
def test_the_first_number_out_of_range_is_named_with_its_place(numbers, ignored, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_range("x", torch.tensor(numbers), below=3, way_out="Look.", ignored=ignored)


def test_nothing_is_read_from_a_device():
    cuda = FakeCuda()
    numbers = cuda.placed(torch.tensor([-5, 7]))
    assert not can_be_read(numbers)
    with cuda.step():
        assert check_range("x", numbers, below=3, way_out="") is False
        assert check_range("x", numbers, below=3, way_out="", ignored=-100) is True
