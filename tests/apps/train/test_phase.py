from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from commands import environment, is_alive, phase_folder
from patience import wait_until
from tiny_run import tiny_config

from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.train import phase as phases
from lt_callbacks.apps.train.phase import PHASE, STOP, Phase, run_ranks
from lt_callbacks.apps.train.training import Training


@pytest.fixture
def phase(tmp_path):
    training = Training(
        name="CE", group="objective", seed=0, method="ce", max_epochs=2, learning_rate=None, folder=tmp_path / "x"
    )
    return Phase(config=tiny_config(tmp_path), training=training, facts={"manifest": "a"})


def test_a_phase_comes_back_from_its_file_as_it_was(phase):
    content = json.loads(json.dumps(phase.to_dict()))
    training = Training(**{**content["training"], "folder": Path(content["training"]["folder"])})
    again = Phase(config=config_from_dict(TrainConfig, content["config"]), training=training, facts=content["facts"])
    assert again.training == phase.training
    assert asdict(again.config) == asdict(phase.config)
    assert again.hash == phase.hash


@pytest.mark.parametrize("change", ["config", "training", "facts"])
def test_the_hash_is_of_everything(phase, change):
    changed = {
        "config": lambda: replace(phase.config, seed=5),
        "training": lambda: replace(phase.training, max_epochs=3),
        "facts": lambda: {"manifest": "b"},
    }[change]()
    assert replace(phase, **{change: changed}).hash != phase.hash


@pytest.mark.ddp
def test_what_a_rank_says_when_it_fails_is_told(tmp_path):
    folder = phase_folder(tmp_path / "phase", devices=1)
    content = json.loads((folder / PHASE).read_text())
    content["config"]["trainer"]["accelerator"] = "abacus"
    (folder / PHASE).write_text(json.dumps(content))
    with pytest.raises(
        RuntimeError,
        match=r"^A rank that had not met the others yet of the training in '.*' failed: `trainer` must be what "
        r"lightning\.Trainer accepts.* The whole story is in '.*log\.txt'\.$",
    ):
        run_ranks(folder, environment(), Preemption())
    assert "abacus" in (folder / "log.txt").read_text()


def stand_in(monkeypatch, code):
    """Another program in the place of the ranks: what a driver does with their words and deeds."""
    monkeypatch.setattr(phases.sys, "executable", sys.executable)
    real = phases.subprocess.Popen

    def start(command, **settings):
        return real([sys.executable, "-c", code, command[-1]], **settings)

    monkeypatch.setattr(phases.subprocess, "Popen", start)


def test_progress_is_shown_and_the_rest_is_kept(tmp_path, monkeypatch):
    stand_in(
        monkeypatch, "print('@epoch 1 3'); print('a warning'); print('@epoch 2 3'); print('@say the disk is full')"
    )
    seen, said = [], []
    run_ranks(
        tmp_path,
        environment(),
        Preemption(),
        on_epoch=lambda done, total: seen.append((done, total)),
        say=said.append,
    )
    assert seen == [(1, 3), (2, 3)]
    assert said == ["the disk is full"]
    assert (tmp_path / "log.txt").read_text() == "a warning\n"


def test_ranks_that_stopped_on_request_are_no_failure(tmp_path, monkeypatch):
    stand_in(monkeypatch, "import sys; sys.exit(143)")
    with pytest.raises(Preempted):
        run_ranks(tmp_path, environment(), Preemption())


def test_a_request_reaches_ranks_that_are_waited_for(tmp_path, monkeypatch):
    waits = "import sys, time, pathlib\nwhile not (pathlib.Path(sys.argv[1]) / 'stop').exists(): time.sleep(.05)\nsys.exit(143)"
    stand_in(monkeypatch, waits)
    preemption = Preemption()
    with preemption.listening():
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(Preempted):
            run_ranks(tmp_path, environment(), preemption)
    assert (tmp_path / STOP).exists()


def test_an_interrupt_lets_the_ranks_save_first(tmp_path, monkeypatch):
    waits = (
        "import sys, time, pathlib\nplace = pathlib.Path(sys.argv[1])\nprint('@epoch 1 2', flush=True)\n"
        "while not (place / 'stop').exists(): time.sleep(.05)\n(place / 'saved').touch()"
    )
    stand_in(monkeypatch, waits)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ranks(tmp_path, environment(), Preemption(), on_epoch=interrupt)
    assert (tmp_path / "saved").exists()


def test_ranks_that_do_not_save_are_ended_with_those_that_are_stopped(tmp_path, monkeypatch):
    """After Ctrl-C the first rank was killed, and a stopped one stayed for ever."""
    monkeypatch.setattr(phases, "SECONDS_TO_SAVE", 0.5)
    waits = (
        "import os, signal, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(10_000)'])\n"
        "child.send_signal(signal.SIGSTOP)\nprint('@epoch', child.pid, 2, flush=True)\nchild.wait()"
    )
    stand_in(monkeypatch, waits)
    children = []

    def interrupt(done, total):
        children.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ranks(tmp_path, environment(), Preemption(), on_epoch=interrupt)
    wait_until(lambda: not is_alive(children[0]))


def test_a_process_that_says_nothing_of_its_failure_is_told_by_its_last_line(tmp_path, monkeypatch):
    stand_in(monkeypatch, "import os; print('a warning'); print('Killed.', flush=True); os._exit(9)")
    text = (
        rf"^A process of the training in '{tmp_path}' failed with exit code 9: Killed\. The whole story is in '.*'\.$"
    )
    with pytest.raises(RuntimeError, match=text):
        run_ranks(tmp_path, environment(), Preemption())
