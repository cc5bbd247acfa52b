from __future__ import annotations

import pickle

import pytest

from lt_callbacks._errors import (
    ArgumentError,
    ArgumentFileError,
    ArgumentImportError,
    ArgumentPermissionError,
    ArgumentTypeError,
    ArgumentValueError,
    DataError,
    StateError,
    UserError,
)

KINDS = {
    ArgumentValueError: ValueError,
    ArgumentTypeError: TypeError,
    ArgumentFileError: FileNotFoundError,
    ArgumentPermissionError: PermissionError,
    ArgumentImportError: ImportError,
}


@pytest.mark.parametrize(("kind", "built_in"), KINDS.items())
def test_an_error_has_its_parts_and_is_what_callers_expect(kind, built_in):
    error = kind("ratio", rule="be a number in [0, 1]", got="7", way_out="Lower it.")
    assert str(error) == "`ratio` must be a number in [0, 1]; got 7. Lower it."
    assert (error.argument, error.rule, error.got, error.way_out) == (
        "ratio",
        "be a number in [0, 1]",
        "7",
        "Lower it.",
    )
    assert isinstance(error, ArgumentError)
    assert isinstance(error, built_in)


def test_without_a_way_out_the_message_ends_with_what_was_received():
    assert str(ArgumentValueError("x", rule="be > 0", got="-1")) == "`x` must be > 0; got -1."


@pytest.mark.parametrize("kind", KINDS)
def test_a_renamed_error_is_the_same_one_of_another_argument(kind):
    error = kind("ratio", rule="be > 0", got="-1", way_out="Set another.").renamed("noise.ratio")
    assert type(error) is kind
    assert str(error) == "`noise.ratio` must be > 0; got -1. Set another."


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_to_another_process(kind):
    error = kind("ratio", rule="be > 0", got="-1", way_out="Set another.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_other_errors_for_people_have_a_message_only():
    assert (str(StateError("It stopped.")), str(DataError("It is damaged."))) == ("It stopped.", "It is damaged.")
    assert issubclass(StateError, RuntimeError)
    assert issubclass(DataError, ValueError)
    assert all(issubclass(kind, UserError) for kind in (ArgumentError, StateError, DataError))
