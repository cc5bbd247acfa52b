from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks._arrays import as_array, as_floats


@pytest.mark.parametrize(
    "values",
    [[1, 2], (1.0, 2), np.array([1, 2], np.uint8), torch.tensor([1, 2]), torch.tensor([1, 2]).half(), range(1, 3)],
)
def test_arrays_lists_and_tensors_are_taken(values):
    assert as_array("x", values).tolist() == [1, 2]
    found = as_floats("x", values)
    assert found.dtype == np.float64
    assert found.tolist() == [1, 2]


def test_none_is_a_number_that_is_not_there():
    assert np.isnan(as_floats("x", [1, None])).tolist() == [False, True]


def test_floats_are_a_copy():
    given = np.ones(2)
    as_floats("x", given)[0] = 5
    assert given[0] == 1


@pytest.mark.parametrize("values", [[[1, 2], [3]], torch.ones(2, requires_grad=True), torch.ones(2).bfloat16()])
def test_what_numpy_cannot_hold_is_refused_by_name(values):
    for function in (as_array, as_floats):
        with pytest.raises(TypeError, match=r"^`x` must be .*; got (list|Tensor)\."):
            function("x", values)


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ("12", "dtype <U2"),
        (["1", "2"], "dtype <U1"),
        (np.array([1j]), "dtype complex128"),
        ({"a": 1}, "dict"),
        (object(), "object"),
    ],
)
def test_text_is_not_read_and_no_imaginary_part_is_dropped(values, got):
    with pytest.raises(TypeError, match=f"^`x` must be real numbers; got {got}. Look.$"):
        as_floats("x", values, way_out="Look.")
