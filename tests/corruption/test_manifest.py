from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.corruption import Manifest

SETTINGS = {"imbalance": {"factor": 2.0}, "noise": {"kind": "human", "given_labels_file": "/a/b.npy"}, "seed": 0}
FIELDS: dict = {
    "dataset": "toy",
    "num_classes": 3,
    "indices": [1, 4, 5, 9],
    "true_labels": [0, 0, 1, 1],
    "given_labels": [0, 2, 1, 0],
    "settings": SETTINGS,
}


def manifest(**change: object) -> Manifest:
    return Manifest(**{**FIELDS, **change})


def test_realised_noise() -> None:
    assert manifest().noise_rate == 0.5
    assert manifest().realised_transition.tolist() == [[0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0, 0]]
    assert len(manifest()) == 4


def test_arrays_are_read_only_int64_copies() -> None:
    source = np.array([0, 0, 1, 1], dtype=np.int64)
    made = manifest(true_labels=source)
    source[0] = 2
    for name in ("indices", "true_labels", "given_labels"):
        array = getattr(made, name)
        assert array.dtype == np.int64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert made.true_labels.tolist() == [0, 0, 1, 1]


def test_hash_is_the_known_value() -> None:
    assert manifest().sha256 == "e299a12b92e3803a535d1255c1e934d63296c6ee04c127edf1e9124fa3a30a2e"


def test_hash_covers_content_and_meaning() -> None:
    changes: list[dict] = [
        {},
        {"num_classes": 4},
        {"indices": [1, 4, 5, 8]},
        {"true_labels": [0, 0, 1, 2]},
        {"given_labels": [0, 2, 1, 1]},
        {"settings": {**SETTINGS, "seed": 1}},
        {"settings": {**SETTINGS, "noise": {"kind": "none"}}},
    ]
    assert len({manifest(**change).sha256 for change in changes}) == len(changes)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"indices": np.array([1, 4, 5, 9], dtype=">i2")},
        {"settings": dict(reversed(SETTINGS.items()))},
        {
            "settings": {
                **SETTINGS,
                "noise": {"given_labels_file": "C:\\b.npy", "given_labels_key": "k", "kind": "human"},
            }
        },
        {"settings": {**SETTINGS, "added_in_a_later_release": None}},
    ],
)
def test_hash_does_not_cover_names_places_and_forms(change: dict) -> None:
    assert manifest(**change) == manifest()
    assert hash(manifest(**change)) == hash(manifest())


def test_equality_is_the_hash() -> None:
    assert manifest() != manifest(num_classes=4)
    assert manifest() != manifest().sha256


def test_settings_are_copied() -> None:
    settings: dict = {"noise": {"kind": "none"}, "order": (1, 0)}
    made = manifest(settings=settings)
    settings["noise"]["kind"] = "symmetric"
    assert made.settings == {"noise": {"kind": "none"}, "order": [1, 0]}


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    path = manifest().save(tmp_path / "new" / "manifest.json")
    loaded = Manifest.load(path)
    assert loaded == manifest()
    for field in dataclasses.fields(Manifest):
        assert np.array_equal(getattr(loaded, field.name), getattr(manifest(), field.name))
    assert [entry.name for entry in path.parent.iterdir()] == ["manifest.json"]


def test_file_is_json_with_version_and_hash_one_field_a_line(tmp_path: Path) -> None:
    path = manifest().save(tmp_path / "m.json")
    content = json.loads(path.read_text())
    assert content["format_version"] == 1
    assert content["sha256"] == manifest().sha256
    assert content["indices"] == [1, 4, 5, 9]
    assert len(path.read_text().splitlines()) == len(content) + 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[0, 2, 1, 0]", "[0, 2, 1, 1]"),
        ('"dataset": "toy"', '"dataset": "boy"'),
        ('"factor": 2.0', '"factor": 3.0'),
        ("/a/b.npy", "/a/c.npy"),
        ('"num_classes": 3,', '"num_classes": 3, "extra": 1,'),
        ('"checksum": "', '"checksum": "0'),
        ('"checksum"', '"sum"'),
    ],
)
def test_edited_files_are_refused_by_name(tmp_path: Path, old: str, new: str) -> None:
    path = manifest().save(tmp_path / "m.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(
        ValueError, match=r"got '.*m\.json', which was edited or damaged: its checksum .* Restore the file"
    ):
        Manifest.load(path)


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_numbers_that_are_none_are_refused_by_name(tmp_path: Path, number: str) -> None:
    path = manifest().save(tmp_path / "m.json")
    path.write_text(path.read_text().replace('"factor": 2.0', f'"factor": {number}'))
    with pytest.raises(ValueError, match=rf"got '.*m\.json', which is damaged or truncated \({number} is no "):
        Manifest.load(path)


def test_an_entry_is_named_also_where_the_checksum_fits(tmp_path: Path) -> None:
    path = manifest().save(tmp_path / "m.json")

    def changed(**entries: Any) -> None:
        content = {**json.loads(path.read_text()), **entries}
        del content["checksum"]
        (tmp_path / "n.json").write_text(json.dumps({**content, "checksum": sha256(canonical_json(content))}))

    changed(num_classes="3")
    with pytest.raises(
        ValueError, match=r'n\.json\', which has "3" as its entry `num_classes`, which must be an integer'
    ):
        Manifest.load(tmp_path / "n.json")
    changed(given_labels=[0, 2, 1, 7])
    with pytest.raises(ValueError, match=r"n\.json', which has in `given_labels` what must be in 0\.\.2: 7 at index 3"):
        Manifest.load(tmp_path / "n.json")
    changed(sha256="0" * 64)
    with pytest.raises(ValueError, match=r"n\.json', which has another `sha256` than its content"):
        Manifest.load(tmp_path / "n.json")


@pytest.mark.parametrize("size", [0, 1, 200, -3])
def test_truncated_files_are_refused_by_name(tmp_path: Path, size: int) -> None:
    path = manifest().save(tmp_path / "m.json")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"got '.*m\.json', which is damaged or truncated \(.*build_manifest"):
        Manifest.load(path)


def test_binary_rubbish_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b"\xff\xfe\x00\x93NUMPY")
    with pytest.raises(ValueError, match=r"m\.json', which is damaged or truncated"):
        Manifest.load(tmp_path / "m.json")


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "other"}', "3"])
def test_other_json_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ValueError, match=r"m\.json', which is not a manifest"):
        Manifest.load(tmp_path / "m.json")


def test_other_version_is_refused_by_name(tmp_path: Path) -> None:
    path = manifest().save(tmp_path / "m.json")
    content = json.loads(path.read_text())
    del content["checksum"]
    content["format_version"] = 3
    content["checksum"] = sha256(canonical_json(content))
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json', which has format version 3 where this release reads 1 and 2"):
        Manifest.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`path` must be a manifest file; got '.*none\.json'\. Check the path"):
        Manifest.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dataset": ""}, ValueError, r"`dataset` must be a name; got ''"),
        ({"dataset": None}, ValueError, r"`dataset` must be a name; got None"),
        ({"num_classes": 1}, ValueError, r"`num_classes` must be an integer >= 2; got 1"),
        ({"given_labels": [0, 3, 1, 0]}, ValueError, r"`given_labels` must be in 0..2; got 3 at index 1"),
        ({"true_labels": [0.0, 1.0]}, TypeError, r"`true_labels` must be integers"),
        (
            {"indices": [1, 4, 5]},
            ValueError,
            r"must have the length of both labels; got `indices` 3, `true_labels` 4, `given_labels` 4",
        ),
        ({"indices": [1, 5, 4, 9]}, ValueError, r"`indices` must ascend; got \[5, 4\] at index 1"),
        ({"indices": [1, 4, 4, 9]}, ValueError, r"`indices` must ascend; got \[4, 4\] at index 1"),
        ({"settings": {"a": np.int64(1)}}, TypeError, r"`settings` must be JSON values; got .*Convert them"),
        ({"settings": {"a": float("nan")}}, TypeError, r"`settings` must be JSON values"),
    ],
)
def test_refuses(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        manifest(**change)


def of_unknown_truth(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "dataset": "mine",
        "num_classes": 3,
        "indices": [0, 2, 5],
        "source_labels": [0, 1, 2],
        "given_labels": [0, 1, 2],
        "settings": {},
    }
    return Manifest(**{**fields, **changes})


def test_where_the_truth_is_unknown_nothing_claims_to_know_it(tmp_path: Path) -> None:
    """A manifest of one's own labels said 0.0 % noise: nobody can know that."""
    made = of_unknown_truth()
    assert not made.truth_is_known
    assert made.true_labels is None
    assert made.noise_rate is None
    assert made.realised_transition is None
    assert made.num_changed == 0
    text = made.save(tmp_path / "m.json").read_text()
    assert "true" not in text
    assert Manifest.load(tmp_path / "m.json") == made


def test_changed_labels_are_counted_also_where_the_truth_is_unknown(tmp_path: Path) -> None:
    made = of_unknown_truth(given_labels=[0, 0, 1])
    assert made.num_changed == 2
    assert made.noise_rate is None
    loaded = Manifest.load(made.save(tmp_path / "m.json"))
    assert loaded.source_labels.tolist() == [0, 1, 2]
    assert loaded.given_labels.tolist() == [0, 0, 1]


def test_known_and_unknown_truth_are_two_manifests() -> None:
    unknown = of_unknown_truth()
    known = of_unknown_truth(source_labels=None, true_labels=[0, 1, 2])
    assert known.source_labels.tolist() == unknown.source_labels.tolist()
    assert known != unknown


def test_labels_before_the_noise_are_needed() -> None:
    with pytest.raises(ValueError, match=r"`true_labels` must be given, or `source_labels` .*; got neither\."):
        of_unknown_truth(source_labels=None)


def test_a_copy_with_other_labels_holds_those() -> None:
    known = replace(of_unknown_truth(), true_labels=[0, 1, 1])
    assert known.source_labels.tolist() == known.true_labels.tolist() == [0, 1, 1]
    assert replace(known, true_labels=[2, 1, 1]).source_labels.tolist() == [2, 1, 1]
    assert replace(of_unknown_truth(), source_labels=[2, 1, 1]).source_labels.tolist() == [2, 1, 1]


def test_a_file_that_lacks_a_part_is_refused_by_name(tmp_path: Path) -> None:
    path = of_unknown_truth().save(tmp_path / "m.json")
    content = json.loads(path.read_text())
    del content["checksum"], content["source_labels"]
    content["checksum"] = sha256(canonical_json(content))
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"m\.json', which lacks the entry `source_labels`\."):
        Manifest.load(path)
