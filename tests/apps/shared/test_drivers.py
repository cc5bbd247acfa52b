from __future__ import annotations

import os
import threading

import pytest
from commands import free_port
from patience import PATIENCE
from tiny_run import tiny_config

from lt_callbacks.apps.config.build import build_trainer
from lt_callbacks.apps.shared import drivers as module
from lt_callbacks.apps.shared.drivers import Drivers, clean_environment, forget_batch_script


def trainer(tmp_path, **settings):
    return build_trainer(tiny_config(tmp_path), **settings)


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)


def test_one_process_drives_alone(tmp_path):
    drivers = Drivers(trainer(tmp_path))
    assert (drivers.is_parallel, drivers.is_external, drivers.rank, drivers.size) == (False, False, 0, 1)
    assert drivers.is_first


def test_ranks_that_lightning_starts_have_one_driver_and_no_foreign_rank(tmp_path, monkeypatch):
    drivers = Drivers(trainer(tmp_path, devices=2))
    assert (drivers.is_parallel, drivers.is_external, drivers.size) == (True, False, 1)
    # A process group that this process was once part of is none of the phase's business.
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("MASTER_PORT", "1")
    given = drivers.announce({"folder": "x"})
    assert not {"LOCAL_RANK", "MASTER_PORT"} & given.keys()
    assert given["PATH"] == os.environ["PATH"]


def test_children_of_a_sweep_do_not_see_the_ranks_of_their_launcher(monkeypatch):
    theirs = {
        "RANK": "1",
        "WORLD_SIZE": "4",
        "TORCHELASTIC_RUN_ID": "x",
        "SLURM_PROCID": "1",
        "OMPI_COMM_WORLD_RANK": "1",
    }
    for name, value in {**theirs, "CUDA_VISIBLE_DEVICES": "3", "MY_SETTING": "y"}.items():
        monkeypatch.setenv(name, value)
    environment = clean_environment()
    assert not theirs.keys() & environment.keys()
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert environment["MY_SETTING"] == "y"


def torchrun(monkeypatch, *, rank, world_size, port=None):
    variables = {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": world_size,
        "LOCAL_WORLD_SIZE": world_size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port or 1,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_a_launcher_of_another_number_of_ranks_is_refused(tmp_path, monkeypatch):
    torchrun(monkeypatch, rank=0, world_size=3)
    with pytest.raises(ValueError, match="does not match the world size"):
        Drivers(trainer(tmp_path, devices=2))


def test_the_first_driver_leads_and_the_others_follow(tmp_path, monkeypatch):
    port = free_port()
    found = {}

    def drive(rank):
        torchrun(monkeypatch, rank=rank, world_size=2, port=port)
        return trainer(tmp_path, devices=2)

    second_trainer = drive(1)
    second_environment = dict(os.environ)
    first_trainer = drive(0)
    # The trainers know their ranks from the variables at this moment; both drivers live in one process here.
    ranks = {id(first_trainer): 0, id(second_trainer): 1}
    monkeypatch.setattr(type(first_trainer), "global_rank", property(lambda self: ranks[id(self)]))
    thread = threading.Thread(target=lambda: found.update(second=Drivers(second_trainer)))
    thread.start()
    first = Drivers(first_trainer)
    thread.join(PATIENCE)
    second = found["second"]
    assert (first.is_first, second.is_first, first.size) == (True, False, 2)
    assert first.is_external

    given = first.announce({"folder": "a"})
    phase = second.next_phase()
    assert phase["folder"] == "a"
    monkeypatch.setattr(module.os, "environ", second_environment)
    followed = second.variables(phase["port"])
    # Of each its own rank, and one port for both that is not the launcher's.
    assert (given["RANK"], followed["RANK"]) == ("0", "1")
    assert given["MASTER_PORT"] == followed["MASTER_PORT"] != str(port)

    first.finish()
    assert second.next_phase() is None


def test_a_batch_script_is_one_process_whatever_it_asked_for(monkeypatch):
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}.items():
        monkeypatch.setenv(name, value)
    forget_batch_script()
    assert "SLURM_NTASKS" not in os.environ
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_a_step_keeps_its_ranks(monkeypatch):
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}.items():
        monkeypatch.setenv(name, value)
    forget_batch_script()
    assert os.environ["SLURM_NTASKS"] == "4"
