from __future__ import annotations

import pytest
from hydra.errors import CompactHydraException

from lt_callbacks._checks import integer
from lt_callbacks._errors import (
    ArgumentFileError,
    ArgumentImportError,
    ArgumentTypeError,
    ArgumentValueError,
    DataError,
    StateError,
)
from lt_callbacks.apps.config.errors import CommandError, named, names_in, without_trace
from lt_callbacks.apps.config.train_schemas import NoiseConfig


@pytest.mark.parametrize(
    "error", [StateError("not now"), DataError("damaged"), ArgumentFileError("path", rule="be there", got="'x'")]
)
def test_every_kind_that_is_for_people_becomes_its_message(error):
    with pytest.raises(CommandError) as caught, without_trace():
        raise error
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is error


def test_an_error_that_the_package_raised_becomes_its_message():
    with pytest.raises(CommandError, match=r"^`seed` must be an integer >= 0; got -1\.$") as caught, without_trace():
        integer("seed", -1, at_least=0)
    assert isinstance(caught.value, CompactHydraException)
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_that_fell_out_of_an_expression_of_the_package_keeps_its_trace():
    # The bound cannot be formatted: a bug of the caller, raised by Python inside the package.
    with pytest.raises(ValueError, match="Unknown format code") as caught, without_trace():
        integer("seed", 1.5, at_least="zero")
    assert not isinstance(caught.value, CommandError)


@pytest.mark.parametrize("error", [ValueError("elsewhere"), KeyError("elsewhere"), KeyboardInterrupt()])
def test_errors_from_elsewhere_keep_their_trace(error):
    with pytest.raises(type(error)) as caught, without_trace():
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens():
    with without_trace():
        assert integer("seed", 1) == 1


@pytest.mark.parametrize("kind", [ArgumentTypeError, ArgumentValueError, ArgumentFileError, ArgumentImportError])
def test_an_argument_gets_the_name_of_the_setting(kind):
    expected = r"^`noise\.ratio` must be in \[0, 1\); got `x`\.$"
    with pytest.raises(kind, match=expected) as caught, named({"ratio": "noise.ratio"}):
        raise kind("ratio", rule="be in [0, 1)", got="`x`")
    assert str(caught.value.__cause__) == "`ratio` must be in [0, 1); got `x`."


@pytest.mark.parametrize(
    "error",
    [
        ArgumentValueError("ratios", rule="be", got="x"),
        ArgumentValueError("a.ratio", rule="be", got="x"),
        StateError("`ratio` must be"),
        # Of a class that says nothing about arguments, whatever its text.
        ValueError("`ratio` must be"),
    ],
)
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as caught, named({"ratio": "noise.ratio"}):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("argument", ["train_csv", "another"])
def test_other_arguments_that_a_message_speaks_of_get_their_names_too(argument):
    names = {"train_csv": "data.train_csv", "root": "data.root"}
    with pytest.raises(ArgumentValueError) as caught, named({"data": "x"}), named(names):
        raise ArgumentValueError(argument, rule="stay, or `root` be given", got="`a b`", way_out="Pass `root`, `x`.")
    assert str(caught.value) == (
        f"`{names.get(argument, argument)}` must stay, or `data.root` be given; got `a b`. Pass `data.root`, `x`."
    )


def test_kinds_that_cannot_be_made_from_a_message_stay_as_they_are():
    error = UnicodeDecodeError("ascii", b"`ratio`", 0, 1, "`ratio`")
    with pytest.raises(UnicodeDecodeError) as caught, named({"ratio": "noise.ratio"}):
        raise error
    assert caught.value is error


def test_a_renamed_error_is_still_shown_without_trace():
    with (
        pytest.raises(CommandError, match=r"^`noise\.ratio` must be"),
        without_trace(),
        named(names_in("noise", NoiseConfig)),
    ):
        integer("ratio", -1, at_least=0)


def test_names_of_a_group():
    assert names_in("noise", NoiseConfig) == {
        "kind": "noise.kind",
        "ratio": "noise.ratio",
        "given_labels_file": "noise.given_labels_file",
        "given_labels_key": "noise.given_labels_key",
        "transition_file": "noise.transition_file",
    }
