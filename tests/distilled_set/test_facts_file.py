import json
from functools import partial

import pytest

from lt_callbacks.distilled_set.facts_file import facts_checksum, json_values, read_facts, write_facts

read = partial(read_facts, kind="a whole thing", format_name="thing", format_version=3, way_out="Make it again.")
FACTS = {"format": "thing", "format_version": 3, "name": "ä", "values": [1, 2.5, None, {"deep": True}]}


def test_what_is_written_is_read(tmp_path):
    write_facts(tmp_path / "facts.json", FACTS)
    assert read(tmp_path / "facts.json") == FACTS
    assert json.loads((tmp_path / "facts.json").read_text())["checksum"] == facts_checksum(FACTS)


def test_the_layout_of_the_file_does_not_count(tmp_path):
    write_facts(tmp_path / "facts.json", FACTS)
    content = json.loads((tmp_path / "facts.json").read_text())
    (tmp_path / "facts.json").write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert read(tmp_path / "facts.json") == FACTS


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold a whole thing; got no file .*facts.json'"):
        read(tmp_path / "facts.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged or truncated"),
        (b"\xff\xfe", "is damaged or truncated"),
        (b'{"format": "thing", "format_ver', "is damaged or truncated"),
        (b'{"format": "thing", "format_version": 3, "value": NaN}', "is damaged or truncated"),
        (b"[1, 2]", "has no entry `format` that reads 'thing'"),
        (b'{"format": "other"}', "has no entry `format` that reads 'thing'"),
        (b'{"format": "thing"}', "has format version None where this release reads 3"),
        (b'{"format": "thing", "format_version": 4}', "has format version 4 where this release reads 3"),
        (b'{"format": "thing", "format_version": 3}', "was edited or damaged: .* Make it again."),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "facts.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"`folder` must hold a whole thing.*facts\.json', which {message}"):
        read(tmp_path / "facts.json")


def test_json_values_are_a_copy_as_json_gives_it_back():
    given = {"a": (1, 2), "b": {"c": []}}
    kept = json_values("calibration", given)
    given["b"]["c"].append(1)
    assert kept == {"a": [1, 2], "b": {"c": []}}


@pytest.mark.parametrize("values", [None, "text", [("a", 1)], {"a": {1, 2}}, {"a": float("inf")}, {("a",): 1}])
def test_what_json_cannot_say_is_a_type_error_with_the_argument(values):
    with pytest.raises(TypeError, match="^`calibration` must be"):
        json_values("calibration", values)
