from __future__ import annotations

import os
import threading

import pytest
from commands import free_port
from patience import PATIENCE
from tiny_run import tiny_config

from lt_callbacks._errors import StateError
from lt_callbacks.apps.config.build import build_trainer
from lt_callbacks.apps.shared import drivers as module
from lt_callbacks.apps.shared.drivers import Drivers
from lt_callbacks.apps.shared.launcher_variables import clean_environment


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


@pytest.fixture
def two_drivers(tmp_path, monkeypatch):
    """Two drivers in one process, the environment of the second, and the port that they met at."""
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
    return first, found["second"], second_environment, port


def test_the_first_driver_leads_and_the_others_follow(two_drivers, monkeypatch):
    first, second, second_environment, port = two_drivers
    assert (first.is_first, second.is_first, first.size) == (True, False, 2)
    assert first.is_external

    with first.leading():
        given = first.announce({"folder": "a"})
        phase = second.next_phase()
        assert phase["folder"] == "a"
    monkeypatch.setattr(module.os, "environ", second_environment)
    followed = second.variables(phase["port"])
    # Of each its own rank, and one port for both that is not the launcher's.
    assert (given["RANK"], followed["RANK"]) == ("0", "1")
    assert given["MASTER_PORT"] == followed["MASTER_PORT"] != str(port)
    assert second.next_phase() is None


def test_the_others_hear_why_the_first_driver_failed(two_drivers):
    first, second, *_ = two_drivers
    with pytest.raises(KeyError), first.leading():
        raise KeyError("no such key")
    with pytest.raises(StateError, match=r"^The first process of this command failed: KeyError: 'no such key'$"):
        second.next_phase()
