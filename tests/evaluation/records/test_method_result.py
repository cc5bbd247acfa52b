from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from made_results import method_result

from lt_callbacks.evaluation import MethodResult


def test_round_trip_through_json_restores_an_equal_object():
    result = method_result(
        many=None,
        best_accuracy=51.25,
        wrong_labels_fitted=3.0,
        per_class=(80.0, None, 20.0),
        setting="ratio 0.4",
        extra={"alpha": 10, "steps": (1, 2), "nested": {"on": True, "none": None}},
    )
    restored = MethodResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert restored == result
    assert restored.per_class == (80.0, None, 20.0)
    assert restored.extra["steps"] == [1, 2]


def test_defaults_may_be_left_out():
    values = method_result(wrong_labels_fitted=12.5).to_dict()
    for name in ("best_accuracy", "wrong_labels_fitted", "cell", "extra"):
        del values[name]
    restored = MethodResult.from_dict(values)
    assert restored.best_accuracy is None
    assert restored.wrong_labels_fitted is None
    assert (restored.setting, restored.extra) == ("", {})


def test_a_result_says_nothing_of_wrong_labels_where_nobody_knows_which_they_are():
    values = method_result(wrong_labels_fitted=None).to_dict()
    assert "wrong_labels_fitted" not in values
    assert MethodResult.from_dict(values).wrong_labels_fitted is None


def test_what_is_scored_is_kept_and_is_the_test_set_where_nothing_is_said():
    doubtful = method_result(scored_on="held-out training samples by their given labels")
    assert MethodResult.from_dict(doubtful.to_dict()) == doubtful
    assert "scored_on" not in method_result().to_dict()
    assert MethodResult.from_dict(method_result().to_dict()).scored_on == "the test set"


def test_numpy_numbers_become_python_numbers():
    result = method_result(
        seed=np.int64(3), accuracy=np.float32(12.5), per_class=np.array([1.0, 2.0]), seconds=np.float64(2)
    )
    assert json.loads(json.dumps(result.to_dict()))["per_class"] == [1.0, 2.0]
    assert type(result.seed) is int
    assert type(result.accuracy) is float


def test_later_changes_of_the_caller_do_not_reach_the_result():
    extra = {"steps": [1]}
    result = method_result(extra=extra)
    extra["steps"].append(2)
    result.to_dict()["extra"]["steps"].append(3)
    assert result.extra == {"steps": [1]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.seed = 1  # type: ignore[misc]


def test_key_tells_results_apart():
    assert method_result("CE", 3, setting="a").key == ("CE", 3, "a")
    assert method_result("CE", 3, setting="a").key != method_result("CE", 3, setting="b").key


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"method": 3}, TypeError, "`method` must be text; got 3."),
        ({"method": ""}, ValueError, "`method` must not be empty"),
        ({"setting": None}, TypeError, "`setting` must be text; got None."),
        ({"seed": 1.0}, TypeError, "`seed` must be an integer; got 1.0."),
        ({"seed": True}, TypeError, "`seed` must be an integer; got True."),
        ({"accuracy": None}, TypeError, "`accuracy` must be a finite number >= 0 and <= 100; got None."),
        ({"accuracy": float("nan")}, ValueError, "`accuracy` must be a finite number >= 0 and <= 100; got nan."),
        ({"accuracy": 100.5}, ValueError, "got 100.5. Shares are in percent."),
        ({"few": float("nan")}, ValueError, "`few` must be a finite number >= 0 and <= 100; got nan. Use None"),
        ({"best_accuracy": -1}, ValueError, "`best_accuracy` must be a finite number >= 0 and <= 100; got -1."),
        ({"wrong_labels_fitted": "3"}, TypeError, "`wrong_labels_fitted` must be a finite number"),
        ({"per_class": (1.0, 101.0)}, ValueError, "`per_class[1]` must be a finite number >= 0 and <= 100; got 101.0"),
        ({"per_class": ()}, ValueError, "`per_class` must hold one percentage a class; got an empty sequence."),
        ({"per_class": 3.0}, TypeError, "`per_class` must be a sequence of percentages, one a class; got 3.0."),
        ({"seconds": -0.1}, ValueError, "`seconds` must be a finite number >= 0; got -0.1."),
        ({"extra": [1]}, TypeError, "`extra` must be a mapping with text keys; got [1]."),
        ({"extra": {1: 2}}, TypeError, "`extra` must be a mapping with text keys; got the key 1. Use `str(key)`."),
        ({"extra": {"a": np.ones(1)}}, TypeError, "Convert arrays with `.tolist()`, NaN to None."),
        ({"extra": {"a": float("nan")}}, ValueError, "`extra` must hold only what JSON can"),
    ],
)
def test_wrong_fields_are_refused_by_name(changes, error, text):
    with pytest.raises(error, match=re.escape(text)):
        method_result(**changes)


def test_unknown_and_missing_names_are_refused():
    values = method_result().to_dict()
    with pytest.raises(ValueError, match=r"got 'acuracy'\. Did you mean 'accuracy'\?"):
        MethodResult.from_dict({**values, "acuracy": 1.0})
    with pytest.raises(ValueError, match=r"got 'zzz'\. Put what is not a field under `extra`\."):
        MethodResult.from_dict({**values, "zzz": 1.0})
    del values["few"], values["seconds"]
    with pytest.raises(ValueError, match=r"`values` must hold method, .*; got no few, seconds\."):
        MethodResult.from_dict(values)
    with pytest.raises(TypeError, match="`values` must be a mapping of field names to values; got list"):
        MethodResult.from_dict([1])  # type: ignore[arg-type]
