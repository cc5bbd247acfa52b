from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from lt_callbacks.apps.config.job_record import (
    DONE,
    FAILED,
    FILE,
    NOT_A_JOBS,
    RUNNING,
    JobRecord,
    job_fault,
    job_hash,
    read_job,
)

SETTINGS = {"seed": 1, "noise": {"kind": "symmetric", "ratio": 0.2}, "methods": ["ce"], "output": "a", "threads": None}


def record(**changes) -> JobRecord:
    facts = {
        "command": "lt-train",
        "hash": job_hash("lt-train", SETTINGS),
        "status": RUNNING,
        "overrides": ["seed=1"],
        "config": SETTINGS,
        "started": "2025-01-01T00:00:00+00:00",
    }
    return JobRecord(**{**facts, **changes})


def test_what_is_written_is_read(tmp_path):
    written = record(status=DONE, seconds=1.5, value=81.25, error=None).write(tmp_path / "new")
    assert read_job(tmp_path / "new") == written
    assert json.loads((tmp_path / "new" / FILE).read_text())["format"] == 1


def test_changes_are_written_and_the_record_itself_stays(tmp_path):
    job = record()
    changed = job.write(tmp_path, status=FAILED, error="no memory")
    assert read_job(tmp_path) == changed
    assert (changed.status, changed.error, changed.config) == (FAILED, "no memory", SETTINGS)
    assert (job.status, job.error) == (RUNNING, None)


def test_a_folder_without_a_record_has_no_job(tmp_path):
    assert read_job(tmp_path) is None
    assert read_job(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda content: {**content, "format": 2},
        lambda content: {name: value for name, value in content.items() if name != "format"},
        lambda content: {name: value for name, value in content.items() if name != "value"},
        lambda content: {**content, "priority": 3},
        lambda content: {**content, "config": None},
        lambda content: [content],
        lambda content: None,
    ],
)
def test_the_record_of_another_release_is_no_job(tmp_path, change):
    record().write(tmp_path)
    assert read_job(tmp_path) is not None
    (tmp_path / FILE).write_text(json.dumps(change({"format": 1, **asdict(record())})))
    assert read_job(tmp_path) is None


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_truncated_record_is_no_job(tmp_path, length):
    record().write(tmp_path)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text()[:length])
    assert read_job(tmp_path) is None


def test_the_hash_is_that_of_the_content_and_not_of_its_order():
    turned = {name: SETTINGS[name] for name in reversed(SETTINGS)}
    turned["noise"] = {"ratio": 0.2, "kind": "symmetric"}
    assert job_hash("lt-train", turned) == job_hash("lt-train", SETTINGS)
    # A sweep that one release began, the next goes on with.
    assert (
        job_hash("lt-train", {"seed": 1, "noise": {"ratio": 0.2}})
        == "a4ad2632a821c26640c4eb8845a73ecbd0e055ea562eb3fb4fc0ce25632f6c9b"
    )


def test_where_and_how_loudly_a_job_works_does_not_matter():
    changed = {**SETTINGS, **dict.fromkeys(NOT_A_JOBS, "something else")}
    assert job_hash("lt-train", changed) == job_hash("lt-train", SETTINGS)
    assert {"output", "store", "results", "logger", "threads"} == set(NOT_A_JOBS)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"noise": {"kind": "symmetric", "ratio": 0.4}},
        {"methods": ["ce", "dsink"]},
        {"data": {"batch_size": 1}},
    ],
)
def test_what_a_job_computes_does(change):
    assert job_hash("lt-train", {**SETTINGS, **change}) != job_hash("lt-train", SETTINGS)


def test_an_objective_may_have_a_setting_of_such_a_name():
    hashes = {job_hash("lt-train", {"objective": {"output": output}}) for output in (1, 2)}
    assert len(hashes) == 2


def test_another_command_is_another_job():
    assert job_hash("lt-distill", SETTINGS) != job_hash("lt-train", SETTINGS)


def test_a_setting_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        job_hash("lt-train", {"ratio": float("nan")})


def test_the_config_of_an_earlier_release_has_todays_names(tmp_path):
    record(config={**SETTINGS, "cell": "x"}).write(tmp_path)
    assert read_job(tmp_path).config == {**SETTINGS, "setting": "x"}


def test_a_setting_that_was_renamed_keeps_its_place_in_the_hash():
    assert job_hash("lt-train", {**SETTINGS, "setting": "x"}) == job_hash("lt-train", {**SETTINGS, "cell": "x"})
    assert job_hash("lt-train", {**SETTINGS, "setting": "x"}) != job_hash("lt-train", {**SETTINGS, "setting": "y"})


def test_files_count_by_their_content(tmp_path):
    """A finished job was skipped whose manifest had been written anew."""
    path, moved = tmp_path / "manifest.json", tmp_path / "moved.json"
    path.write_text("one")
    moved.write_text("one")
    before = job_hash("lt-train", {**SETTINGS, "manifest": str(path)})
    assert job_hash("lt-train", {**SETTINGS, "manifest": str(moved)}) == before
    moved.write_text("two")
    assert job_hash("lt-train", {**SETTINGS, "manifest": str(moved)}) != before


def test_what_is_wrong_with_a_record_is_said(tmp_path):
    assert job_fault(tmp_path) == "is damaged or truncated: cannot be read: No such file or directory"
    record().write(tmp_path)
    assert job_fault(tmp_path) is None
    for changes, fault in (
        ({"seconds": "1"}, 'has "1" as its entry `seconds`, which must be a finite number or null'),
        ({"value": True}, "has true as its entry `value`, which must be a finite number or null"),
    ):
        (tmp_path / FILE).write_text(json.dumps({"format": 1, **asdict(record(**changes))}))
        assert job_fault(tmp_path) == fault
        assert read_job(tmp_path) is None
