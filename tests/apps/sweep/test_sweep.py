from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from commands import environment, jobs_of, lt_train, start, train_command
from omegaconf import OmegaConf
from patience import PATIENCE, wait_until
from tiny_run import tiny_config

from lt_callbacks.apps.sweep import sweep
from lt_callbacks.apps.sweep.sweep import refuse_ranks_of_a_sweep, single_seed
from lt_callbacks.apps.train.run import run
from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import read_result

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}
SRUN = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0"}


@pytest.mark.parametrize("variables", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
@pytest.mark.parametrize("flag", ["-m", "--multirun", "hydra.mode=MULTIRUN"])
def test_a_sweep_in_several_processes_is_refused_with_the_command_that_works(monkeypatch, capsys, variables, flag):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        refuse_ranks_of_a_sweep(["/bin/lt-train", flag, "seed=0,1", "trainer.devices=1"])
    assert refused.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("A sweep must be started as one process; ")
    assert lines[1] == f"  lt-train {flag} seed=0,1 trainer.devices=2"


def test_only_the_first_rank_says_so(monkeypatch, capsys):
    for name, value in {**TORCHRUN, "RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    waited = []
    monkeypatch.setattr(sweep.time, "sleep", waited.append)
    with pytest.raises(SystemExit):
        refuse_ranks_of_a_sweep(["lt-train", "-m"])
    assert capsys.readouterr().err == ""
    # Its launcher would end the first one before it has spoken.
    assert waited == [10]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": "4", "RANK": "1"},
        {**TORCHRUN, "WORLD_SIZE": "1"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"},
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1"},
    ],
    ids=["nothing", "variables of nobody", "torchrun of one", "batch script", "srun of one"],
)
def test_one_process_may_sweep(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refuse_ranks_of_a_sweep(["lt-train", "-m", "seed=0,1"])


def test_several_processes_may_run_one_job(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    refuse_ranks_of_a_sweep(["lt-train", "trainer.devices=2"])


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [(["seed=3"], 1), (["+seed=3", "noise.ratio=0.2"], 1), (["seed=3", "num_seeds=2"], 3), (["noise.ratio=0.2"], 3)],
)
def test_a_job_that_is_told_its_seed_runs_that_one(overrides, expected):
    config = OmegaConf.create({"seed": 3, "num_seeds": 3})
    assert single_seed(config, overrides).num_seeds == expected
    assert config.num_seeds == 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of three jobs, of which one cannot be run."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, lt_train(folder, "-m", "methods=[ce]", "noise.ratio=0.2,0.4,7", "imbalance.factor=10")


def jobs_that_are(status, folder):
    return [place for place, job in jobs_of(folder / "sweep").items() if job["status"] == status]


@pytest.mark.ddp
def test_a_failed_job_is_listed_and_the_sweep_goes_on(finished):
    folder, command = finished
    assert command.returncode == 1
    assert len(jobs_that_are("done", folder)) == 2
    (failed,) = jobs_that_are("failed", folder)
    assert "2 of 3 jobs in " in command.stderr
    assert f"  failed: {failed.name}: `noise.ratio` must be " in command.stderr
    assert f"See {failed.name}/job.log" in command.stderr
    assert "`noise.ratio` must be " in (failed / "job.log").read_text()
    assert "Traceback" not in (failed / "job.log").read_text()


@pytest.mark.ddp
def test_a_job_runs_in_a_process_of_its_own_from_its_saved_config(finished):
    folder, command = finished
    for place, ratio in zip(sorted(jobs_that_are("done", folder)), (0.2, 0.4), strict=True):
        assert place.name.startswith(f"imbalance.factor=10,methods=_ce_,noise.ratio={ratio}")
        settings = jobs_of(folder / "sweep")[place]["config"]
        document = read_result(place / "metrics.json")
        assert settings["noise"]["ratio"] == document.settings["noise"]["ratio"] == ratio
        assert "[1/1] seed 0, CE" in (place / "job.log").read_text()
        assert document.runs[0]["command"].startswith("lt-train num_seeds=1 trainer.max_epochs=2")
    assert "seed 0, CE" not in command.stderr + command.stdout


@pytest.mark.ddp
def test_a_sweep_writes_a_folder_for_each_job_with_its_settings(finished, tmp_path):
    folder, _ = finished
    found = {}
    for place in jobs_that_are("done", folder):
        document = read_result(place / "metrics.json")
        manifest = Manifest.load(place / "manifest-seed0.json")
        settings = (document.settings["noise"]["ratio"], document.settings["imbalance"]["factor"])
        assert (manifest.settings["noise"]["ratio"], manifest.settings["imbalance"]["factor"]) == settings
        assert [cell.method for cell in document.results] == ["CE"]
        assert (place / "report.md").exists()
        found[settings] = document.results[0].accuracy
    assert sorted(found) == [(0.2, 10), (0.4, 10)]

    # A job of a sweep is the run that it says it is.
    run(tiny_config(tmp_path / "alone", "methods=[ce]", "noise.ratio=0.4", "imbalance.factor=10"))
    alone = read_result(tmp_path / "alone" / "run" / "metrics.json")
    assert alone.results[0].accuracy == found[0.4, 10]


@pytest.mark.slow
@pytest.mark.ddp
def test_a_sweep_that_goes_on_runs_what_is_not_done(finished):
    folder, _ = finished
    before = {place: (place / "job.json").stat().st_mtime_ns for place in jobs_of(folder / "sweep")}
    # Another order, and another launcher's word for the same jobs.
    again = lt_train(
        folder, "-m", "launcher=sequential", "methods=[ce]", "imbalance.factor=10", "noise.ratio=7,0.4,0.2"
    )
    assert again.returncode == 1
    jobs = jobs_of(folder / "sweep")
    assert jobs.keys() == before.keys()
    changed = {(job["status"], (place / "job.json").stat().st_mtime_ns != before[place]) for place, job in jobs.items()}
    assert changed == {("done", False), ("failed", True)}
    assert "finished before, skipped" in again.stderr


def writers(log):
    """Processes that have a file open: a job has its log."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        # Those of others are hidden, and some are closed meanwhile.
        with suppress(OSError):
            found += [link] if link.readlink() == log else []
    return found


@pytest.mark.slow
@pytest.mark.ddp
def test_a_sweep_that_is_asked_to_stop_has_its_job_save_and_says_how_to_go_on(tmp_path):
    process = start(train_command(tmp_path, "-m", "methods=[ce]", "noise.ratio=0.2,0.4", "trainer.max_epochs=100000"))
    wait_until(lambda: list((tmp_path / "sweep").glob("*/manifest-seed0.json")))
    time.sleep(4)
    (log,) = (tmp_path / "sweep").glob("*/job.log")
    assert writers(log)
    # Not SIGINT, which is ignored below a shell's background.
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert f"Stopped. The same command with hydra.sweep.dir={tmp_path / 'sweep'} goes on" in said
    ((place, job),) = jobs_of(tmp_path / "sweep").items()
    assert job["status"] == "stopped"
    # The job had the time to save where it was.
    assert list(place.glob("unfinished/*/last.ckpt"))
    assert not writers(log)


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_give_the_same_numbers(tmp_path, launcher):
    arguments = ("methods=[ce,imbalance_teacher]", "noise.ratio=0.2,0.4", "seed=0,1")
    found = {}
    for name in ("sequential", launcher):
        command = lt_train(tmp_path / name, "-m", f"launcher={name}", *arguments)
        assert command.returncode == 0, command.stderr
        documents = [read_result(place / "metrics.json") for place in jobs_of(tmp_path / name / "sweep")]
        found[name] = {
            (document.settings["noise"]["ratio"], *cell.key): cell.per_class
            for document in documents
            for cell in document.results
        }
    assert len(found[launcher]) == 8
    assert found[launcher] == found["sequential"]


@pytest.mark.slow
@pytest.mark.ddp
def test_optuna_chooses_by_the_held_out_share(tmp_path):
    arguments = ("sweeper=optuna", "hydra.sweeper.n_trials=2", "methods=[ce,dsink]")
    command = lt_train(tmp_path, "-m", *arguments)
    assert command.returncode == 0, command.stderr
    best = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml")
    held_out = {}
    for place, job in jobs_of(tmp_path / "sweep").items():
        (cell,) = (cell for cell in read_result(place / "metrics.json").results if cell.method == "D-SINK")
        assert job["value"] == pytest.approx(cell.extra["val_accuracy"])
        held_out[job["config"]["dsink"]["alpha"]] = job["value"]
    assert best.best_value == pytest.approx(max(held_out.values()))
    assert best.best_params["dsink.alpha"] in held_out


def test_the_command_ends_where_torchrun_started_it_twice():
    command = [sys.executable, "-m", "lt_callbacks.apps.train.command", "-m", "seed=0,1"]
    refused = subprocess.run(command, env=environment(**TORCHRUN), capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode == 2
    assert refused.stderr.startswith("A sweep must be started as one process; torchrun started 4 of this command")
