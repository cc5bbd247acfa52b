from __future__ import annotations

from dataclasses import asdict

import pytest
from tiny_run import tiny_config, tiny_distill_config

from lt_callbacks.apps.config.job_record import RUNNING, JobRecord, job_hash, read_job
from lt_callbacks.apps.sweep import job
from lt_callbacks.evaluation import read_result

TRAIN = "lt_callbacks.apps.train.run:run_job"
DISTILL = "lt_callbacks.apps.distill.run:run_job"


@pytest.fixture(autouse=True)
def _no_watch(monkeypatch):
    """The thread that ends a job with its parent would outlive the test."""
    monkeypatch.setattr(job, "end_with_parent", lambda *, saves: None)


def saved(folder, config, *, command="lt-train", overrides=("noise.ratio=0.2",)):
    settings = asdict(config)
    record = JobRecord(
        command=command,
        hash=job_hash(command, settings),
        status=RUNNING,
        overrides=list(overrides),
        config=settings,
        started="2026-01-01T00:00:00+00:00",
    )
    folder.mkdir(parents=True, exist_ok=True)
    return record.write(folder)


def test_a_job_runs_from_its_record_alone_and_says_how_it_ended(tmp_path):
    config = tiny_config(tmp_path, "methods=[ce]", "noise.ratio=0.2")
    before = saved(tmp_path / "job", config)
    assert job.main(TRAIN, tmp_path / "job") == 0
    after = read_job(tmp_path / "job")
    document = read_result(tmp_path / "run" / "metrics.json")
    assert after == JobRecord(**{**asdict(before), "status": "done", "seconds": after.seconds, "value": after.value})
    assert after.seconds > 0
    assert after.value == pytest.approx(document.results[0].extra["val_accuracy"])
    assert document.settings["noise"]["ratio"] == 0.2
    assert document.runs[0]["command"] == "lt-train noise.ratio=0.2"


def test_a_users_mistake_is_told_without_a_trace(tmp_path, capsys):
    saved(tmp_path / "job", tiny_config(tmp_path, "noise.ratio=7"))
    assert job.main(TRAIN, tmp_path / "job") == 1
    after = read_job(tmp_path / "job")
    assert after.status == "failed"
    assert after.error.startswith("`noise.ratio` must be ")
    said = capsys.readouterr()
    assert said.out.startswith("`noise.ratio` must be ")
    assert "Traceback" not in said.out + said.err


def test_an_error_of_ours_keeps_its_trace(tmp_path, capsys):
    saved(tmp_path / "job", tiny_config(tmp_path))
    assert job.main("job_entries:fail", tmp_path / "job") == 1
    assert read_job(tmp_path / "job").error == "KeyError: 'no such key'"
    assert "Traceback" in capsys.readouterr().err


def test_a_job_that_is_interrupted_can_go_on(tmp_path):
    saved(tmp_path / "job", tiny_config(tmp_path))
    assert job.main("job_entries:interrupt", tmp_path / "job") == 143
    assert read_job(tmp_path / "job").status == "stopped"


def test_only_the_first_rank_records(tmp_path):
    before = saved(tmp_path / "job", tiny_config(tmp_path, "noise.ratio=7"))
    assert job.main(TRAIN, tmp_path / "job", rank=1) == 1
    assert read_job(tmp_path / "job") == before


def test_a_job_of_lt_distill_is_one_too(tmp_path):
    saved(tmp_path / "job", tiny_distill_config(tmp_path, "methods=[hard]"), command="lt-distill", overrides=["seed=0"])
    assert job.main(DISTILL, tmp_path / "job") == 0
    assert read_job(tmp_path / "job").status == "done"
    assert read_result(tmp_path / "run" / "metrics.json").runs[0]["command"] == "lt-distill seed=0"


def test_a_folder_without_a_job_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="^`folder` must hold a job's record; got "):
        job.main(TRAIN, tmp_path)
