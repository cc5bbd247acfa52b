from __future__ import annotations

import re

import pytest
from made_results import method_result

from lt_callbacks.evaluation import find_results, write_result


def write(path):
    return write_result(path, command="c", settings={"where": path.parent.name}, results=[method_result()])


def test_documents_are_found_at_any_depth_in_the_order_of_their_paths(tmp_path):
    paths = [write(tmp_path / place / "metrics.json") for place in ("b/deep/er", "a", ".")]
    write(tmp_path / "a" / "other.json")
    (tmp_path / "b" / "notes.txt").write_text("x")
    assert list(find_results([tmp_path])) == [paths[1], paths[0], paths[2]]


def test_a_document_that_is_named_may_have_any_name(tmp_path):
    path = write(tmp_path / "digits.json")
    assert find_results([path])[path].settings == {"where": tmp_path.name}


def test_a_file_that_is_reached_twice_counts_once(tmp_path):
    path = write(tmp_path / "sweep" / "a" / "metrics.json")
    (tmp_path / "linked").symlink_to(tmp_path / "sweep")
    places = [tmp_path / "sweep", tmp_path / "sweep" / "a", path, tmp_path / "linked" / "a"]
    assert list(find_results(places)) == [path]


def test_a_folder_without_results_gives_none(tmp_path):
    assert find_results([tmp_path]) == {}


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^`places` must be .*; got '.*missing', which does not exist\. Check the path\.$"
    ):
        find_results([tmp_path, tmp_path / "missing"])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda text: text[:100], "is damaged or truncated"),
        (lambda text: text.replace('"accuracy": 50.0', '"accuracy": 90.0'), "was edited or damaged"),
        (lambda text: text.replace('"format_version": 1', '"format_version": 9'), "has version 9"),
        (lambda text: "{}", "has no entry `format`"),
    ],
)
def test_one_bad_document_is_an_error_that_names_it_and_the_way_out(tmp_path, damage, text):
    write(tmp_path / "good" / "metrics.json")
    bad = write(tmp_path / "bad" / "metrics.json")
    bad.write_text(damage(bad.read_text()))
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        find_results([tmp_path])
    assert str(bad) in str(caught.value)
    assert str(caught.value).endswith("To leave it out, move it elsewhere or name the other runs one by one.")
