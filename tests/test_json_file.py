from __future__ import annotations

import pytest

from lt_callbacks._errors import DataError
from lt_callbacks._json_file import (
    ANYTHING,
    COUNT,
    FLAG,
    INTEGER,
    INTEGERS,
    LIST,
    NUMBER,
    NUMBERS,
    OBJECT,
    SHA256,
    TEXT,
    TEXTS,
    VERSIONS,
    Each,
    optional,
    read_json,
    wrong_entry,
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "delimiter"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": -Infinity}', "-Infinity is no JSON"),
        (b'{"a": "\xff"}', "can't decode"),
        (b"[" * 100_000, "is nested more deeply"),
        (b'{"a": ' * 100_000, "is nested more deeply"),
    ],
)
def test_what_is_no_json_is_said_to_be_none(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(tmp_path / "a.json")


def test_what_cannot_be_opened_is_said_to_be_so(tmp_path):
    with pytest.raises(DataError, match="^cannot be read: No such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="^cannot be read: Is a directory"):
        read_json(tmp_path)


def test_json_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, null, true, "ü"]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5, None, True, "ü"]}


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("kind", "fine", "wrong"),
    [
        (TEXT, ["", "a"], [None, 1, ["a"]]),
        (FLAG, [True, False], [0, 1, None, "true"]),
        (INTEGER, [0, -3], [True, 1.0, "1", None]),
        (COUNT, [0, 3], [-1, False, 1.0]),
        (NUMBER, [0, -1.5], [10**400, True, "1", None, float("inf"), float("nan")]),
        (OBJECT, [{}], [[], None, "a"]),
        (LIST, [[]], [{}, "a", None]),
        (INTEGERS, [[], [1, 2]], [[1.0], [True], 1, None]),
        (NUMBERS, [[], [1, 2.5]], [["1"], [None], 1]),
        (TEXTS, [[], ["a"]], [[1], "a", [None]]),
        (SHA256, [DIGEST], [DIGEST[:-1], DIGEST.upper(), 3, "g" * 64]),
        (VERSIONS, [{}, {"a": "1", "b": None}], [{"a": 1}, [], None]),
        (optional(TEXT), [None, "a"], [1]),
        (ANYTHING, [None, 1, "a", [], {}], []),
    ],
)
def test_a_kind_fits_what_it_says(kind, fine, wrong):
    assert all(kind.fits(value) for value in fine)
    assert not any(kind.fits(value) for value in wrong)


FIELDS = {"name": TEXT, "size": {"height": INTEGER}, "runs": Each({"seed": INTEGER}), "places": Each(COUNT)}
WHOLE = {
    "name": "a",
    "size": {"height": 1, "width": 2},
    "runs": [{"seed": 0}, {"seed": 1}],
    "places": [0, 1],
    "more": 3,
}


def test_a_document_with_all_its_entries_is_fine_and_may_have_more():
    assert wrong_entry(WHOLE, FIELDS) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "has null as its entry `name`, which must be text"),
        ({"size": 3}, "has 3 as its entry `size`, which must be an object"),
        ({"size": {}}, "lacks the entry `size.height`"),
        ({"size": {"height": True}}, "has true as its entry `size.height`, which must be an integer"),
        ({"runs": {}}, "has {} as its entry `runs`, which must be a list"),
        ({"runs": [{"seed": 0}, {}]}, "lacks the entry `runs[1].seed`"),
        ({"runs": [3]}, "has 3 as its entry `runs[0]`, which must be an object"),
        ({"places": [0, -1]}, "has -1 as its entry `places[1]`, which must be an integer >= 0"),
        ({"name": ["x" * 100]}, 'has ["' + "x" * 55 + "... as its entry `name`, which must be text"),
    ],
)
def test_the_first_wrong_entry_is_named(change, message):
    assert wrong_entry({**WHOLE, **change}, FIELDS) == message


def test_a_missing_entry_and_a_document_of_another_kind_are_named():
    assert wrong_entry({name: value for name, value in WHOLE.items() if name != "runs"}, FIELDS) == (
        "lacks the entry `runs`"
    )
    assert wrong_entry([1], FIELDS) == "is [1], which must be an object"
