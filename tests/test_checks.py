from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from lt_callbacks._checks import as_path, as_paths, class_range_hint, integer, one_of, real


def test_values_inside_their_bounds_come_back():
    assert one_of("kind", "batch", ["batch", "running"]) == "batch"
    for value in (2, 2.0, np.float32(2), np.int64(2), Fraction(2)):
        got = real("x", value, at_least=2, at_most=2, above=1, below=3)
        assert got == 2.0
        assert type(got) is float
    for value in (2, np.int64(2), np.uint8(2)):
        got = integer("n", value, at_least=2, at_most=2)
        assert got == 2
        assert type(got) is int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bach", "`kind` must be one of 'batch', 'running'; got 'bach'. Did you mean 'batch'?"),
        ("zzz", "`kind` must be one of 'batch', 'running'; got 'zzz'."),
        (None, "`kind` must be one of 'batch', 'running'; got None."),
        (["batch"], "`kind` must be one of 'batch', 'running'; got ['batch']. Did you mean 'batch'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(value, text):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole text is compared
        one_of("kind", value, iter(["batch", "running"]))
    assert str(error.value) == text


def test_a_hint_takes_the_place_of_the_nearest_name():
    with pytest.raises(ValueError, match=r"got 'b'. Look in the docs.$"):
        one_of("kind", "b", ["batch"], hint="Look in the docs.")


@pytest.mark.parametrize(
    ("value", "bounds", "rule"),
    [
        (-0.1, {"at_least": 0.0}, "a finite number >= 0"),
        (0.0, {"above": 0.0}, "a finite number > 0"),
        (1.1, {"at_most": 1.0}, "a finite number <= 1"),
        (1.0, {"below": 1.0}, "a finite number < 1"),
        (1, {"at_least": 0, "below": 1}, "a finite number >= 0 and < 1"),
        (0, {"above": 0.25, "at_most": 1e-9}, "a finite number > 0.25 and <= 1e-09"),
        (math.nan, {}, "a finite number"),
        (math.inf, {"above": 0.0}, "a finite number > 0"),
        (-math.inf, {"at_most": 0.0}, "a finite number <= 0"),
    ],
)
def test_numbers_out_of_bounds_are_refused(value, bounds, rule):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        real("x", value, **bounds)
    assert str(error.value) == f"`x` must be {rule}; got {value!r}."


@pytest.mark.parametrize("value", ["1", None, True, False, 1j, [1.0], np.array([1.0])])
def test_what_is_no_number_is_a_type_error(value):
    with pytest.raises(TypeError, match="`x` must be a finite number > 0; got .*Give a rate."):
        real("x", value, above=0.0, hint="Give a rate.")


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (-1, {"at_least": 0}, "`n` must be an integer >= 0; got -1."),
        (2, {"at_least": 0, "at_most": 1}, "`n` must be an integer >= 0 and <= 1; got 2."),
        # The bound is the number itself, not six digits of it.
        (2_000_000, {"at_most": 1_281_167}, "`n` must be an integer <= 1281167; got 2000000."),
    ],
)
def test_integers_out_of_bounds_are_refused(value, bounds, text):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        integer("n", value, **bounds)
    assert str(error.value) == text


@pytest.mark.parametrize("value", [1.0, True, "1", None, np.float64(1.0), np.True_])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(TypeError, match="`n` must be an integer >= 1; got .*Pass a count."):
        integer("n", value, at_least=1, hint="Pass a count.")


@pytest.mark.parametrize("labels", [(0, 3), (1, 4), (2, 3), (-1, 3), (1, 2)])
def test_only_labels_from_one_to_the_number_of_classes_count_from_one(labels):
    assert class_range_hint(*labels, 3, otherwise="Name it.") == "Name it."
    assert class_range_hint(1, 3, 3, otherwise="Name it.") == "They count from 1: subtract 1."


class PathOfBytes:
    def __fspath__(self):
        return b"x"


@pytest.mark.parametrize("value", ["a/b", Path("a/b"), PurePosixPath("a/b")])
def test_text_and_path_objects_are_paths(value):
    assert as_path("folder", value) == Path("a/b")
    assert as_paths("places", [value, value]) == [Path("a/b")] * 2
    assert as_paths("places", iter((value,))) == [Path("a/b")]


@pytest.mark.parametrize(
    ("value", "got"),
    [(None, "None"), (3, "3"), (b"a", "b'a'"), (["a"], "list"), (PathOfBytes(), "b'x'"), (True, "True"), ({}, "dict")],
)
def test_what_is_no_path_is_refused_by_name(value, got):
    rule = "`folder` must be a path: a str, or an object with one such as pathlib.Path"
    with pytest.raises(TypeError, match=f"^{re.escape(rule)}; got {re.escape(got)}. Name it"):
        as_path("folder", value, hint="Name it.")


def test_an_empty_path_is_not_the_working_directory():
    with pytest.raises(ValueError, match="^`folder` must be a path: .*; got ''. Write '.' for the working directory"):
        as_path("folder", "")
    with pytest.raises(ValueError, match=r"^`folder` must be a path: .*; got 'a\\x00b'\.$"):
        as_path("folder", "a\0b")


@pytest.mark.parametrize("value", ["abc", b"abc", Path("abc"), None, 3])
def test_one_path_alone_is_no_list_of_its_letters(value):
    with pytest.raises(TypeError, match="^`places` must be a list of paths; got .* Put a single one into a list"):
        as_paths("places", value)
    with pytest.raises(TypeError, match=r"^`places\[1\]` must be a path: .*; got 3"):
        as_paths("places", ["a", 3])


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400, 3)])
def test_a_number_beyond_the_floats_is_refused_by_name(value):
    with pytest.raises(ValueError, match="^`x` must be a finite number; got "):
        real("x", value)
