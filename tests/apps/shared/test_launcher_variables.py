from __future__ import annotations

import os

from lt_callbacks.apps.shared.launcher_variables import clean_environment, forget_batch_script


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
