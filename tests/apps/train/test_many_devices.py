"""Trainings of several ranks, each in a process group of its own, whoever started the command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import warm_processes
from commands import environment, free_port, jobs_of, lt_train, ranks_of, start, store_events, train_command
from patience import PATIENCE, wait_until
from safetensors.torch import load_file

from lt_callbacks.evaluation import read_result
from lt_callbacks.teachers.frozen import tensors_sha256

TWO = ("trainer.devices=2", "data.batch_size=32", "save_networks=true")


def network(folder: Path, method: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "run" / "networks" / f"{method}-seed0.safetensors")


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    command = warm_processes.run(train_command(folder, "methods=[ce]", *TWO))
    assert command.returncode == 0, command.stderr
    return folder, command


@pytest.mark.ddp
def test_each_training_has_ranks_that_trained_with_one_config(two_devices):
    folder, command = two_devices
    ((first, second),) = ranks_of(folder / "run")
    assert (first["rank"], second["rank"]) == (0, 1)
    assert first["world_size"] == second["world_size"] == 2
    assert {**first, "rank": 1} == second
    assert "[1/1] seed 0, CE" in command.stderr
    # What the ranks left for the command is gone; what they said is there.
    names = {path.name for path in (folder / "run" / "phases" / "ce-seed0").iterdir()}
    assert names == {"phase.json", "log.txt", "rank-0.json", "rank-1.json"}


@pytest.mark.ddp
def test_the_document_is_that_of_any_run(two_devices):
    folder, _ = two_devices
    document = read_result(folder / "run" / "metrics.json")
    assert document.settings["trainer"]["devices"] == 2
    (cell,) = document.results
    # Scored once: every test sample counts once.
    assert len(cell.extra["curves"]["train_loss"]) == 2
    assert cell.seconds > 0


@pytest.mark.slow
@pytest.mark.ddp
def test_teachers_are_settled_before_the_ranks_that_learn_from_them(tmp_path):
    command = lt_train(tmp_path, "methods=[ce,dsink]", *TWO)
    assert command.returncode == 0, command.stderr
    phases = {path.name: path / "rank-0.json" for path in (tmp_path / "run" / "phases").iterdir()}
    assert set(phases) == {"ce-seed0", "dsink-seed0", "imbalance_teacher-seed0", "noise_teacher-seed0"}
    known = {name: json.loads(file.read_text()) for name, file in phases.items()}
    assert len({facts["config_hash"] for facts in known.values()}) == 4
    # What the ranks of D-SINK learned from is what the store holds.
    held = set()
    for file in (tmp_path / "store").glob("*/teacher.safetensors"):
        weights = {f"network.{name}": value for name, value in load_file(file).items()}
        held.add(tensors_sha256(weights))
    assert held == {known["dsink-seed0"]["noise_teacher"], known["dsink-seed0"]["imbalance_teacher"]}
    assert [event["event"] for event in store_events(tmp_path)] == ["training", "stored"] * 2


@pytest.mark.slow
@pytest.mark.ddp
def test_a_shuffled_sweep_never_mixes_jobs(tmp_path):
    arguments = ("methods=[ce]", "noise.ratio=shuffle(0.1,0.2,0.3)", "imbalance.factor=shuffle(5,10)", *TWO[:2])
    command = lt_train(tmp_path, "-m", *arguments)
    assert command.returncode == 0, command.stderr
    jobs = jobs_of(tmp_path / "sweep")
    seen = set()
    for place, job in jobs.items():
        (ranks,) = ranks_of(place)
        assert [rank["rank"] for rank in ranks] == [0, 1]
        assert len({rank["config_hash"] for rank in ranks}) == 1
        document = read_result(place / "metrics.json")
        asked = dict(override.split("=", 1) for override in job["overrides"])
        setting = (document.settings["noise"]["ratio"], document.settings["imbalance"]["factor"])
        assert setting == (float(asked["noise.ratio"]), float(asked["imbalance.factor"]))
        assert document.settings["trainer"]["devices"] == 2
        seen.add((setting, ranks[0]["config_hash"], ranks[0]["manifest"]))
    assert len(jobs) == len({setting for setting, _, _ in seen}) == 6
    assert len({config_hash for _, config_hash, _ in seen}) == 6


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("launcher", ["torchrun", "srun", "nodes"])
def test_ranks_that_a_launcher_started_are_those_of_the_job(tmp_path, launcher):
    """`srun` and several nodes are here what they are to a process: variables."""
    devices = ("trainer.devices=1", "trainer.num_nodes=2") if launcher == "nodes" else ("trainer.devices=2",)
    command = train_command(tmp_path, "methods=[ce,dsink]", "data.batch_size=32", *devices)
    port = free_port()
    if launcher == "torchrun":
        processes = [start([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", *command[1:]])]
    elif launcher == "srun":
        shared = {
            "SLURM_JOB_ID": 1234,
            "SLURM_JOB_NAME": "train",
            "SLURM_STEP_ID": 0,
            "SLURM_STEP_NUM_TASKS": 2,
            "SLURM_NTASKS": 2,
            "SLURM_NTASKS_PER_NODE": 2,
            "SLURM_NNODES": 1,
            "SLURM_NODEID": 0,
            "SLURM_NODELIST": "127.0.0.1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        processes = [start(command, **shared, SLURM_PROCID=rank, SLURM_LOCALID=rank) for rank in range(2)]
    else:
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes = [start(command, **shared, NODE_RANK=rank) for rank in range(2)]
    said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    for ranks in ranks_of(tmp_path / "run"):
        assert [(rank["rank"], rank["world_size"]) for rank in ranks] == [(0, 2), (1, 2)]
    assert len(ranks_of(tmp_path / "run")) == 4
    assert [cell.method for cell in read_result(tmp_path / "run" / "metrics.json").results] == ["CE", "D-SINK"]


@pytest.mark.slow
@pytest.mark.ddp
def test_a_command_that_is_killed_takes_its_ranks_with_it(tmp_path):
    process = start(train_command(tmp_path, "methods=[ce]", "trainer.max_epochs=100000", *TWO))
    place = tmp_path / "run" / "phases" / "ce-seed0"
    wait_until((place / "rank-1.json").exists)
    process.kill()
    process.wait()

    def running() -> str:
        return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, env=environment()).stdout

    wait_until(lambda: str(place) not in running(), every=1.0)


@pytest.mark.slow
@pytest.mark.ddp
def test_a_command_that_is_asked_to_stop_saves_and_goes_on_exactly(tmp_path):
    settings = ("methods=[ce]", "trainer.max_epochs=60", *TWO)
    whole = lt_train(tmp_path / "whole", *settings)
    assert whole.returncode == 0, whole.stderr
    process = start(train_command(tmp_path / "stopped", *settings))
    place = tmp_path / "stopped" / "run" / "phases" / "ce-seed0"
    wait_until((place / "rank-1.json").exists)
    time.sleep(1.5)
    process.terminate()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, said
    assert "Stopped, asked to stop" in said
    assert list((tmp_path / "stopped" / "run" / "unfinished").glob("*/last.ckpt"))
    went_on = lt_train(tmp_path / "stopped", *settings)
    assert went_on.returncode == 0, went_on.stderr
    one, two = (network(tmp_path / name, "ce") for name in ("whole", "stopped"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (tmp_path / "stopped" / "run" / "unfinished").exists()
    assert not (place / "stop").exists()
