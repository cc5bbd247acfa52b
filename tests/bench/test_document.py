import json

import pytest

from lt_callbacks.bench import document
from lt_callbacks.bench.document import BenchDocument, read_bench


def opened(path, **changes):
    settings = {"kind": "transport", "settings": {"rounds": 3, "names": ("a",)}, "command": "lt-bench transport"}
    return BenchDocument(path, **{**settings, **changes})


def test_a_document_is_read_back_as_it_was_written(tmp_path):
    written = opened(tmp_path / "a.json")
    written.add("problem", {"median_ms": 1.5, "plan": [1, 2]})
    content = read_bench(tmp_path / "a.json")
    assert content == written.content
    assert content["cells"] == {"problem": {"median_ms": 1.5, "plan": [1, 2]}}
    assert content["versions"]["torch"]
    assert content["hardware"]["threads"] >= 1
    assert content["thread_pools"]["torch"] >= 1
    assert str(tmp_path) not in (tmp_path / "a.json").read_text()


def test_every_finished_measurement_is_on_disk_at_once_and_is_kept(tmp_path):
    first = opened(tmp_path / "a.json")
    assert not first.path.exists()
    first.add("one", {"x": 1})
    second = opened(tmp_path / "a.json", command="typed another time")
    assert second.measurements == {"one": {"x": 1}}
    second.add("two", {"x": 2})
    assert list(read_bench(first.path)["cells"]) == ["one", "two"]


def test_other_settings_do_not_mix(tmp_path):
    opened(tmp_path / "a.json").add("one", {})
    with pytest.raises(ValueError, match=r"settings \{'rounds': 3\} where this run has \{'rounds': 4\}"):
        opened(tmp_path / "a.json", settings={"rounds": 4, "names": ("a",)})
    with pytest.raises(ValueError, match="has kind transport where this run has step"):
        opened(tmp_path / "a.json", kind="step")


def test_other_versions_and_machines_do_not_mix(tmp_path, monkeypatch):
    opened(tmp_path / "a.json").add("one", {})
    content = json.loads((tmp_path / "a.json").read_text())
    for part, name in (("versions", "torch"), ("hardware", "cpu")):
        changed = {**content, part: {**content[part], name: "another"}}
        (tmp_path / "b.json").write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=f"has {part} {{'{name}': 'another'}}"):
            opened(tmp_path / "b.json")


def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(document.LIBRARIES, "no-such-distribution", "Nothing")
    content = opened(tmp_path / "a.json").content
    assert content["missing"][-1] == "Nothing"
    assert content["versions"]["no-such-distribution"] is None


def test_what_is_no_document_is_refused(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="`FILE` must be a document of lt-bench; .* cannot be read"):
        read_bench(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="is something else"):
        read_bench(path)
    path.write_text(json.dumps({"format": "lt_callbacks bench", "format_version": 99}))
    with pytest.raises(ValueError, match="must have format version 1; got 99 in "):
        read_bench(path)


def test_a_document_of_former_words_is_read_and_continued(tmp_path):
    """Trainings were once of the kind `cell`; what was measured is still kept under `cells`."""
    opened(tmp_path / "a.json", kind="training").add("seed 0", {"x": 1})
    content = json.loads((tmp_path / "a.json").read_text())
    assert list(content["cells"]) == ["seed 0"]
    (tmp_path / "a.json").write_text(json.dumps({**content, "kind": "cell"}))
    assert read_bench(tmp_path / "a.json")["kind"] == "training"
    assert opened(tmp_path / "a.json", kind="training").measurements == {"seed 0": {"x": 1}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": ...}, "which lacks the entry `kind`"),
        ({"cells": [1]}, r"which has \[1\] as its entry `cells`, which must be an object"),
        ({"hardware": {"cpu": 3}}, "which has 3 as its entry `hardware.cpu`, which must be text"),
        ({"missing": None}, "which has null as its entry `missing`, which must be a list of texts"),
    ],
)
def test_an_entry_that_is_missing_or_mistyped_is_named(tmp_path, change, message):
    opened(tmp_path / "a.json").add("one", {"x": 1})
    content = {**json.loads((tmp_path / "a.json").read_text()), **change}
    content = {name: value for name, value in content.items() if value is not ...}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"`FILE` must be a document of lt-bench; got .*a.json, {message}"):
        read_bench(tmp_path / "a.json")
