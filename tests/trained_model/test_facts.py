from __future__ import annotations

import json

import pytest
from small_models import facts_of

from lt_callbacks.trained_model import ModelFacts


def test_facts_come_back_from_json_as_they_were():
    facts = facts_of()
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


def test_the_entries_are_those_that_other_programs_read():
    entries = facts_of(network="torchvision:resnet18", width=None).to_dict()
    assert entries["network"] == {
        "name": "torchvision:resnet18",
        "head": "linear",
        "width": None,
        "channels_last": False,
    }
    assert entries["row"] == {"method": "dsink", "title": "D-SINK", "seed": 3, "training": "dsink-seed3-0123456789ab"}
    assert entries["score"] == {"accuracy": 91.25, "on": "the test set"}
    assert entries["class_names"] == ["cat", "dog house", "Ünicorn"]
    assert (entries["image_size"], entries["in_channels"], entries["resize"]) == ([24, 32], 3, 1.0)
    assert (len(entries["mean"]), len(entries["std"])) == (3, 3)


def test_a_model_is_told_in_a_line():
    assert facts_of().summary() == "D-SINK, seed 3: 91.2 % of the test set; animals, 3 classes, small_cnn"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("mean"), "must have the entries of a trained network"),
        (lambda values: values.update(colour="red"), "colour"),
        (lambda values: values["network"].update(depth=3), "depth"),
        (lambda values: values["score"].pop("on"), "it lacks the entry `score.on`"),
        (lambda values: values.update(in_channels=1), "channels, mean, deviation and image size that fit each other"),
        (lambda values: values.update(std=[0.5]), "channels, mean, deviation and image size that fit each other"),
        (lambda values: values.update(image_size=[32]), "channels, mean, deviation and image size that fit each other"),
    ],
)
def test_other_entries_are_refused(change, message):
    values = facts_of().to_dict()
    change(values)
    with pytest.raises(ValueError, match=message):
        ModelFacts.from_dict(values)
