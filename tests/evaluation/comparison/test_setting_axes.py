from __future__ import annotations

import re

import pytest

from lt_callbacks.evaluation.comparison import setting_axes


def axes(*settings, first=()):
    return setting_axes.find_axes([setting_axes.flatten(each) for each in settings], first=first)


def test_groups_become_dotted_keys_without_what_is_not_set():
    nested = {"a": {"b": {"c": 1.0}, "d": None, "e": {}}, "f": [1.0, 2.5], "g": None, "h": True}
    assert setting_axes.flatten(nested) == {"a.b.c": 1, "f": [1, 2.5], "h": True}


def test_a_group_that_is_null_is_like_a_group_of_nulls():
    assert setting_axes.flatten({"a": None}) == setting_axes.flatten({"a": {"b": None}}) == {}


@pytest.mark.parametrize(("one", "other"), [(True, 1), (0, False), ("1", 1), (None, "null"), ([1], ["1"])])
def test_values_of_other_kinds_differ(one, other):
    assert setting_axes.identity(one) != setting_axes.identity(other)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4, "0.4"), (100, "100"), (None, "null"), (True, "true"), ("a b", "a b"), ([1, 2], "[1,2]"), (1e-05, "1e-05")],
)
def test_values_are_written_as_they_are_typed(value, text):
    assert setting_axes.text(value) == text


def test_no_digit_of_a_value_is_lost():
    assert setting_axes.text(0.12345678) == "0.12345678"


def test_numbers_go_by_size_then_words_then_null():
    values = ["b", None, 10, 2.5, "a", True]
    assert sorted(values, key=setting_axes.order) == [2.5, 10, "a", "b", True, None]


def test_what_differs_is_an_axis_and_what_does_not_is_none():
    settings = [{"noise": {"ratio": r}, "imbalance": {"factor": f}, "x": 1} for r in (0.2, 0.4) for f in (10, 100)]
    assert axes(*settings) == (("noise.ratio", "imbalance.factor"), {})


def test_a_setting_that_an_axis_determines_follows_it():
    settings = [
        {"noise": {"kind": kind, "ratio": ratio}, "dsink": {"alpha": alpha}}
        for kind, ratio in (("none", 0), ("symmetric", 0.2), ("symmetric", 0.4))
        for alpha in (1, 10)
    ]
    assert axes(*settings) == (("noise.ratio", "dsink.alpha"), {"noise.kind": "noise.ratio"})


def test_a_kind_that_a_ratio_does_not_determine_is_an_axis():
    settings = [{"noise": {"kind": kind, "ratio": ratio}} for kind in ("symmetric", "pair") for ratio in (0.2, 0.4)]
    assert axes(*settings) == (("noise.ratio", "noise.kind"), {})


def test_a_name_leads_the_settings_of_what_it_names():
    settings = [{"model": {"width": 4, "name": "small"}}, {"model": {"width": 8, "name": "large"}}]
    assert axes(*settings) == (("model.name",), {"model.width": "model.name"})


def test_noise_and_imbalance_stay_axes_where_they_change_together():
    settings = [
        {"noise": {"ratio": 0.2}, "imbalance": {"factor": 10}},
        {"noise": {"ratio": 0.4}, "imbalance": {"factor": 100}},
    ]
    assert axes(*settings) == (("noise.ratio", "imbalance.factor"), {})


def test_other_data_never_hide_behind_a_ratio():
    settings = [{"noise": {"ratio": 0.2}, "data": {"name": "a"}}, {"noise": {"ratio": 0.4}, "data": {"name": "b"}}]
    assert axes(*settings) == (("data.name",), {"noise.ratio": "data.name"})


def test_asked_settings_come_first_and_follow_nothing():
    settings = [{"a": {"x": x}, "b": {"y": 2 * x}, "noise": {"ratio": r}, "c": 1} for x in (1, 2) for r in (0.1, 0.2)]
    assert axes(*settings)[0] == ("noise.ratio", "a.x")
    assert axes(*settings, first=["b.y", "c"]) == (("b.y", "c", "noise.ratio"), {"a.x": "b.y"})


def test_a_setting_that_some_documents_lack_is_null_there():
    found, follows = axes({"a": 1}, {"a": 1, "settings": {"tau": 2.0}})
    assert (found, follows) == (("settings.tau",), {})


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (
            ["noise.ration"],
            "`group_by` must name settings of the results; got 'noise.ration'. Did you mean 'noise.ratio'?",
        ),
        (["zzz"], "got 'zzz'. Name it as on the command line."),
        (["noise.ratio", "noise.ratio"], "must name each setting once; got 'noise.ratio' twice. Drop one of the two."),
    ],
)
def test_errors_name_the_argument(first, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        axes({"noise": {"ratio": 0.2}}, first=first)
