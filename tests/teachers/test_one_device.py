from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from user_project import QUIET, UserData, UserNet

from lt_callbacks.teachers import train_teachers
from lt_callbacks.teachers.one_device import one_device


@pytest.mark.parametrize("asked", [{"devices": 2}, {"devices": [0, 1]}, {"devices": -1}, {"num_nodes": 2}])
def test_teachers_are_trained_by_one_process_each(tmp_path, asked):
    with pytest.raises(ValueError, match=r"^`trainer` must leave `devices` and `num_nodes` at 1, .*; got \{'"):
        train_teachers(UserNet, UserData(), trainer={**QUIET, **asked}, store=tmp_path)


def test_a_launchers_variables_make_no_teacher_wait_for_other_ranks(tmp_path, monkeypatch):
    """As in a script that torchrun started twice: this rank trains, the other waits at the store."""
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    made = train_teachers(UserNet, UserData(), trainer={**QUIET, "devices": 1}, store=tmp_path)
    monkeypatch.undo()
    alone = train_teachers(UserNet, UserData(), trainer=QUIET, store=None)
    assert [teacher.sha256() for teacher in made] == [teacher.sha256() for teacher in alone]


@pytest.mark.parametrize("devices", [None, 1, "1", "auto", [0]])
def test_one_device_may_be_asked_for_in_every_way(devices):
    asked = {} if devices is None else {"devices": devices}
    options = one_device({"accelerator": "cpu", "max_epochs": 3, "strategy": "ddp", **asked})
    assert (options["max_epochs"], options["num_nodes"], options["strategy"]) == (3, 1, "auto")
    assert options["devices"] == ([0] if devices == [0] else 1)


def test_plugins_of_the_users_stay():
    precision = MixedPrecision("bf16-mixed", "cpu")
    for plugins in (precision, [precision], (precision,)):
        options = one_device({"accelerator": "cpu", "plugins": plugins})
        assert options["plugins"][0] is precision
        trainer = Trainer(**options, logger=False, enable_checkpointing=False)
        assert trainer.precision_plugin is precision
        assert trainer.world_size == 1


def test_ranks_of_a_launcher_take_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank, devices in ((0, [0]), (1, [1]), (2, 1)):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert one_device({})["devices"] == devices
        assert one_device({"accelerator": "cpu"})["devices"] == 1


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (-1.0, ValueError), ("1", TypeError)])
def test_gradients_of_teachers_are_clipped_at_a_norm_or_not_at_all(value, error):
    with pytest.raises(error, match=r"^`trainer\['gradient_clip_val'\]` must be a finite number >= 0; got .*None or 0"):
        one_device({"gradient_clip_val": value})
    assert one_device({"gradient_clip_val": None})["gradient_clip_val"] is None
