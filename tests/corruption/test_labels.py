from __future__ import annotations

import numpy as np
import pytest

from lt_callbacks.corruption.labels import checked_labels, integer_array


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", ">i4", "uint64"])
def test_any_integer_dtype_becomes_int64(dtype: str) -> None:
    result = integer_array("labels", np.array([0, 2, 1], dtype=dtype))
    assert result.dtype == np.int64
    assert result.tolist() == [0, 2, 1]


def test_the_result_is_a_copy() -> None:
    labels = np.array([0, 1])
    checked_labels("labels", labels)[0] = 9
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([[0, 1]], ValueError, r"`labels` must have shape \(N,\); got shape \(1, 2\)\. Way out\."),
        ([0.0, 1.0], TypeError, r"`labels` must be integers; got dtype float64\. Way out\."),
        ([True, False], TypeError, r"`labels` must be integers; got dtype bool"),
        ([0, -2], ValueError, r"`labels` must be >= 0; got -2 at index 1\. Way out\."),
        (
            np.array([2**63], dtype=np.uint64),
            ValueError,
            r"`labels` must be <= 9223372036854775807; got 9223372036854775808 at index 0",
        ),
        ([], ValueError, r"`labels` must hold at least one label; got none\. Way out\."),
        ([0, 5, 3], ValueError, r"`labels` must be in 0\.\.2; got 5 at index 1\. Way out\."),
    ],
)
def test_refuses(values: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checked_labels("labels", values, num_classes=3, hint="Way out.")  # type: ignore[arg-type]


def test_a_number_beyond_int64_is_not_wrapped_around() -> None:
    with pytest.raises(
        ValueError, match=r"^`labels` must be <= 9223372036854775807; got 18446744073709551615 at index 1"
    ):
        integer_array("labels", np.array([0, 2**64 - 1], dtype=np.uint64))


@pytest.mark.parametrize("given", [[[1], [2, 3]], object(), "labels", None])
def test_what_is_no_array_is_refused_by_name(given: object) -> None:
    with pytest.raises((TypeError, ValueError), match="^`labels` must "):
        integer_array("labels", given)  # type: ignore[arg-type]
