import json

import pytest

from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.distilled_set.label_facts import LabelFacts

VALUES = {
    "distilled_sha256": "ab" * 32,
    "num_images": 20,
    "num_classes": 10,
    "views": ViewSettings(seed=2, crop="padded", mix="cutmix"),
    "num_views": 5,
}


@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("calibration", [None, {"tau": 1.25, "class_prior": [0.5, 0.25]}])
def test_facts_come_back_from_disk(tmp_path, top_k, calibration):
    facts = LabelFacts(**VALUES, top_k=top_k, calibration=calibration)
    facts.save(tmp_path)
    found = LabelFacts.load(tmp_path)
    assert found == facts
    assert found.checksum == facts.checksum == json.loads((tmp_path / "soft_labels.json").read_text())["checksum"]


def test_the_file_says_what_the_labels_are(tmp_path):
    LabelFacts(**VALUES, top_k=3, calibration={"tau": 1.25}).save(tmp_path)
    content = json.loads((tmp_path / "soft_labels.json").read_text())
    del content["checksum"]
    assert content == {
        "format": "lt_callbacks.soft_labels",
        "format_version": 1,
        "distilled_sha256": "ab" * 32,
        "num_images": 20,
        "num_classes": 10,
        "views": VALUES["views"].to_dict(),
        "num_views": 5,
        "form": {"kind": "compact", "top_k": 3},
        "calibration": {"tau": 1.25},
    }


def test_every_fact_is_in_the_checksum():
    changes = [
        {},
        {"distilled_sha256": "cd" * 32},
        {"num_images": 21},
        {"num_classes": 11},
        {"views": ViewSettings(seed=3, crop="padded", mix="cutmix")},
        {"num_views": 6},
        {"calibration": {"tau": 1.0}},
        {"calibration": {}},
        {"top_k": 3},
    ]
    assert len({LabelFacts(**{**VALUES, **change}).checksum for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"views": {}}, TypeError, "`views` must be ViewSettings; got dict"),
        ({"num_views": 0}, ValueError, "`num_views` must be an integer >= 1; got 0"),
        ({"calibration": {"tau": float("nan")}}, TypeError, "`calibration` must be JSON values"),
        ({"top_k": 11}, ValueError, "`top_k` must be .* <= 10; got 11"),
    ],
)
def test_facts_out_of_range_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        LabelFacts(**{**VALUES, **changes})


def test_edited_facts_are_refused(tmp_path):
    LabelFacts(**VALUES, calibration={"tau": 1.25}).save(tmp_path)
    path = tmp_path / "soft_labels.json"
    path.write_text(path.read_text().replace("1.25", "1.26"))
    with pytest.raises(
        ValueError, match=r"soft_labels\.json', which was edited or damaged: .* or delete it and label again"
    ):
        LabelFacts.load(tmp_path)
