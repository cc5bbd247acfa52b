from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_results import method_result

from lt_callbacks._files import temporary_beside
from lt_callbacks.evaluation import ResultFile, read_result, write_result

SETTINGS = {"ratio": 0.4, "epochs": (30, 60)}


def open_file(folder, **changes):
    return ResultFile(folder / "digits.json", **{"command": "lt-train", "settings": SETTINGS, **changes})


def test_nothing_is_written_before_the_first_result(tmp_path):
    assert open_file(tmp_path).results == ()
    assert not list(tmp_path.iterdir())


def test_a_stopped_experiment_goes_on_where_it_was(tmp_path):
    open_file(tmp_path).append(method_result("CE", 0))
    file = open_file(tmp_path)
    trained = []
    for seed in (0, 1):
        for method in ("CE", "D-SINK"):
            if not file.is_finished(method=method, seed=seed):
                file.append(method_result(method, seed))
                trained.append((method, seed))
    assert trained == [("D-SINK", 0), ("CE", 1), ("D-SINK", 1)]
    document = read_result(tmp_path / "digits.json")
    assert [(entry.method, entry.seed) for entry in document.results] == [("CE", 0), *trained]
    assert len(document.runs) == 1


def test_results_at_other_settings_are_other_results(tmp_path):
    file = open_file(tmp_path)
    file.append(method_result("CE", 0, setting="ratio 0.2"))
    assert file.is_finished(method="CE", seed=0, setting="ratio 0.2")
    assert not file.is_finished(method="CE", seed=0)
    assert not file.is_finished(method="CE", seed=0, setting="ratio 0.4")


def test_each_result_names_the_command_that_made_it(tmp_path):
    open_file(tmp_path, command="lt-train seed=0").append(method_result(seed=0))
    open_file(tmp_path, command="lt-train seed=1").append(method_result(seed=1))
    open_file(tmp_path, command="lt-train seed=0").append(method_result(seed=2))
    document = read_result(tmp_path / "digits.json")
    assert [run["command"] for run in document.runs] == ["lt-train seed=0", "lt-train seed=1"]
    assert document.result_runs == (0, 1, 0)


def test_results_added_by_others_meanwhile_are_kept(tmp_path):
    ours, theirs = open_file(tmp_path), open_file(tmp_path)
    theirs.append(method_result(seed=0))
    ours.append(method_result(seed=1))
    assert [entry.seed for entry in ours.results] == [0, 1]
    with pytest.raises(ValueError, match=re.escape("does not hold yet; got ('CE', 1, '') again. Leave it out, or")):
        theirs.append(method_result(seed=1))


def test_a_result_of_another_process_is_kept_where_it_was_faster(tmp_path):
    ours, theirs = open_file(tmp_path), open_file(tmp_path)
    assert theirs.append_if_missing(method_result(seed=0, accuracy=70.0))
    assert not ours.append_if_missing(method_result(seed=0, accuracy=50.0))
    assert ours.append_if_missing(method_result(seed=0, accuracy=50.0, setting="another"))
    assert [entry.accuracy for entry in read_result(tmp_path / "digits.json").results] == [70.0, 50.0]
    assert ours.results == read_result(tmp_path / "digits.json").results


def test_what_others_added_is_known_after_another_look_and_not_before(tmp_path):
    ours, theirs = open_file(tmp_path), open_file(tmp_path)
    ours.look_again()
    theirs.append(method_result("CE", 0))
    assert not ours.is_finished(method="CE", seed=0)
    ours.look_again()
    assert ours.is_finished(method="CE", seed=0)
    theirs.append(method_result("CE", 1))
    ours.look_again()
    assert ours.is_finished(method="CE", seed=1)


def test_a_file_that_nobody_changed_is_not_read_again(tmp_path, monkeypatch):
    file = open_file(tmp_path)
    file.append(method_result("CE", 0))
    monkeypatch.setattr("lt_callbacks.evaluation.records.result_file.read_result", lambda path: pytest.fail("read"))
    file.look_again()
    assert file.is_finished(method="CE", seed=0)


def test_nothing_but_the_document_stays_also_after_a_writer_that_was_killed(tmp_path):
    # Of processes whose number is none's.
    names = [temporary_beside(Path(name)).name for name in ("digits.json", "other.json")]
    killed, another = (name.replace(f"-{os.getpid()}-", "-99999999-") for name in names)
    for name in (killed, another):
        (tmp_path / name).write_text("half")
    open_file(tmp_path).append(method_result(seed=0))
    assert sorted(path.name for path in tmp_path.iterdir()) == [another, "digits.json"]


def test_many_writers_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: open_file(tmp_path).append(method_result(seed=seed)), range(16)))
    assert read_result(tmp_path / "digits.json").seeds == list(range(16))


def test_notes_are_kept_or_replaced(tmp_path):
    open_file(tmp_path, notes="old").append(method_result(seed=0))
    open_file(tmp_path).append(method_result(seed=1))
    assert read_result(tmp_path / "digits.json").notes == "old"
    open_file(tmp_path, notes="new").append(method_result(seed=2))
    assert read_result(tmp_path / "digits.json").notes == "new"


def test_other_settings_are_refused(tmp_path):
    open_file(tmp_path).append(method_result())
    with pytest.raises(
        ValueError, match=r"; got ratio = 0\.2 where '.*digits\.json' has 0\.4\. Write to another file, or"
    ):
        open_file(tmp_path, settings={**SETTINGS, "ratio": 0.2})
    with pytest.raises(ValueError, match=r"; got alpha = 10 where '.*digits\.json' has 'nothing'\. Write"):
        open_file(tmp_path, settings={**SETTINGS, "alpha": 10})


def test_of_a_group_of_settings_only_what_differs_is_told(tmp_path):
    held = {"data": {"name": "mine", "content": {"sha256": "a" * 64}}}
    open_file(tmp_path, settings=held).append(method_result())
    with pytest.raises(ValueError, match=r"; got data\.content\.sha256 = 'b+' where '.*digits\.json' has 'a+'\. Write"):
        open_file(tmp_path, settings={"data": {"name": "mine", "content": {"sha256": "b" * 64}}})


def test_files_of_write_result_can_be_continued(tmp_path):
    write_result(tmp_path / "digits.json", command="lt-train", settings=SETTINGS, results=[method_result(seed=0)])
    file = open_file(tmp_path)
    file.append(method_result(seed=1))
    assert [entry.seed for entry in file.results] == [0, 1]


def test_damaged_files_are_refused_before_and_during_the_experiment(tmp_path):
    file = open_file(tmp_path)
    file.append(method_result(seed=0))
    text = file.path.read_text()
    file.path.write_text(text[:-20])
    with pytest.raises(ValueError, match=r"digits\.json', which is damaged or truncated"):
        open_file(tmp_path)
    with pytest.raises(ValueError, match=r"digits\.json', which is damaged or truncated"):
        file.append(method_result(seed=1))
    assert file.path.read_text() == text[:-20]
