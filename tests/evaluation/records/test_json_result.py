from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import pytest
from made_results import method_result

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.evaluation import hardware, read_result, versions, write_result

STARTED = datetime.now(timezone.utc).replace(microsecond=0)
RESULTS = [method_result("CE", 1), method_result("CE", 0), method_result("D-SINK", 1, extra={"alpha": 10})]


@pytest.fixture
def path(tmp_path):
    return write_result(
        tmp_path / "results" / "digits.json",
        command="lt-train seed=0,1",
        settings={"ratio": 0.4, "epochs": (30, 60)},
        results=RESULTS,
        notes="a note",
    )


def test_document_says_what_where_and_when(path):
    content = json.loads(path.read_text())
    assert (content["format"], content["format_version"]) == ("lt_callbacks result", 1)
    assert content["settings"] == {"ratio": 0.4, "epochs": [30, 60]}
    assert content["seeds"] == [0, 1]
    (run,) = content["runs"]
    assert run["command"] == "lt-train seed=0,1"
    assert (run["hardware"], run["versions"]) == (hardware(), versions())
    assert STARTED <= datetime.fromisoformat(run["date"]) <= datetime.now(timezone.utc)
    assert [entry["run"] for entry in content["cells"]] == [0, 0, 0]
    assert [entry.name for entry in path.parent.iterdir()] == ["digits.json"]


def test_reading_gives_back_what_was_written(path):
    document = read_result(path)
    assert document.results == tuple(RESULTS)
    assert (document.notes, document.seeds, document.result_runs) == ("a note", [0, 1], (0, 0, 0))
    assert document.settings == {"ratio": 0.4, "epochs": [30, 60]}


def test_one_result_a_line(path):
    lines = path.read_text().splitlines()
    assert sum(line.startswith('    {"method": "CE", "seed": ') for line in lines) == 2


def test_an_experiment_without_results_can_be_read(tmp_path):
    path = write_result(tmp_path / "none.json", command="c", settings={}, results=[])
    assert read_result(path).results == ()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda text: text[: len(text) // 2], "is damaged or truncated: "),
        (lambda text: "", "is damaged or truncated: "),
        (lambda text: "[]", "has no entry `format` that reads 'lt_callbacks result'"),
        (lambda text: text.replace('"accuracy": 50.0', '"accuracy": 90.0', 1), "was edited or damaged"),
        (lambda text: text.replace('"ratio": 0.4', '"ratio": 0.2'), "was edited or damaged"),
        (lambda text: re.sub(r'\s*"sha256": "\w+",', "", text), "was edited or damaged"),
        (
            lambda text: text.replace('"format_version": 1', '"format_version": 2'),
            "which has version 2. Read it with the",
        ),
    ],
)
def test_damaged_edited_and_foreign_files_are_refused_by_name(path, damage, text):
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        read_result(path)
    assert "digits.json" in str(caught.value)
    assert "`path` must be a " in str(caught.value)


def test_bytes_that_are_no_text_are_refused(path):
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="is damaged or truncated"):
        read_result(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"^`path` must be the file of a result document; got '.*missing\.json', which does not exist\.$",
    ):
        read_result(tmp_path / "missing.json")


def test_what_cannot_be_written_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape("got ('CE', 0, '') twice. Drop one of the two.")):
        write_result(path, command="c", settings={}, results=[method_result(), method_result()])
    with pytest.raises(ValueError, match="`command` must be the command line that makes the result; got ' '"):
        write_result(path, command=" ", settings={}, results=[])
    with pytest.raises(TypeError, match="`settings` must hold only what JSON can"):
        write_result(path, command="c", settings={"a": object()}, results=[])
    assert path.read_bytes() == before


def signed(path, change):
    content = json.loads(path.read_text())
    del content["sha256"]
    change(content)
    path.write_text(json.dumps({**content, "sha256": sha256(canonical_json(content))}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("notes"), "which lacks the entry `notes`"),
        (lambda content: content.update(runs={}), "which has {} as its entry `runs`, which must be a list"),
        (lambda content: content["runs"][0].pop("date"), "which lacks the entry `runs[0].date`"),
        (lambda content: content["cells"][1].pop("run"), "which lacks the entry `cells[1].run`"),
        (lambda content: content["cells"][1].update(run=1), "has 1 as its entry `cells[1].run`, a position in `runs`"),
        (lambda content: content["cells"][2].update(accuracy="high"), "has 'high' as its entry `cells[2].accuracy`"),
        (
            lambda content: content["cells"][2].update(accuracy=101),
            "has 101 as its entry `cells[2].accuracy`, which must",
        ),
        (
            lambda content: content["cells"][0].pop("seed"),
            "lacks or has too much in `cells[0]`, which must hold method, ",
        ),
        (lambda content: content["cells"].append(content["cells"][0]), "holds ('CE', 1, '') twice among its `cells`"),
    ],
)
def test_a_false_entry_is_named_though_the_checksum_fits(path, change, message):
    signed(path, lambda content: None)
    assert read_result(path).results == tuple(RESULTS)
    signed(path, change)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_result(path)
    assert "digits.json" in str(caught.value)
