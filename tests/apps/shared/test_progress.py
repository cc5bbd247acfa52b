from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn, optim
from torch.utils.data import DataLoader

from lt_callbacks.apps.shared import progress as progress_module
from lt_callbacks.apps.shared.progress import RunProgress


@pytest.fixture(autouse=True)
def _the_clock_stands_still(monkeypatch):
    """Every training takes 0 s, also on a machine that is busy."""
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: 0.0))


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).mean()

    def configure_optimizers(self):
        return optim.SGD(self.parameters(), lr=0.1)


def train(callback, *, max_epochs):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
    trainer = Trainer(accelerator="cpu", max_epochs=max_epochs, callbacks=[callback], **quiet)
    trainer.fit(Line(), train_dataloaders=DataLoader(torch.ones(4, 1)))


def test_a_log_file_has_one_plain_line_for_each_training():
    log = io.StringIO()
    with RunProgress(total=3, stream=log) as progress:
        with progress.training("seed 0, CE"):
            pass
        progress.skip("seed 0, noise teacher (elr)", "reused from the store")
        with progress.training(
            "seed 0, D-SINK, own marginal [no f_L] with a name that is longer than a narrow terminal"
        ):
            pass
    assert log.getvalue().splitlines() == [
        "[1/3] seed 0, CE: 0 s",
        "[2/3] seed 0, noise teacher (elr): reused from the store",
        "[3/3] seed 0, D-SINK, own marginal [no f_L] with a name that is longer than a narrow terminal: 0 s",
    ]
    assert not progress.is_live


def test_a_log_file_shows_epochs_now_and_then(monkeypatch):
    log = io.StringIO()
    progress = RunProgress(total=1, stream=log)
    with progress.training("CE") as callback:
        train(callback, max_epochs=2)
    assert log.getvalue() == "[1/1] CE: 0 s\n"

    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_LINES", -1.0)
    log = io.StringIO()
    progress = RunProgress(total=1, stream=log)
    with progress.training("CE") as callback:
        train(callback, max_epochs=2)
    assert log.getvalue() == "  CE: epoch 1/2\n  CE: epoch 2/2\n[1/1] CE: 0 s\n"


def test_a_terminal_has_one_bar_that_moves_with_the_epochs(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    seen = []
    with RunProgress(total=2, stream=Terminal()) as progress:
        assert progress.is_live
        task = progress._bar.tasks[0]
        with progress.training("CE") as callback:
            real_advance = progress.advance

            def advance(*arguments):
                real_advance(*arguments)
                seen.append((task.description, task.completed))

            progress.advance = advance
            train(callback, max_epochs=4)
        progress.skip("noise teacher", "reused from the store")
        assert (task.completed, task.total) == (2, 2)
    assert seen == [("CE", 0.25), ("CE", 0.5), ("CE", 0.75), ("CE", 1.0)]
    assert re.search(r"2\.0/2 trainings", progress.console.file.getvalue())
    # A bar alone would pass over what is reused.
    assert "noise teacher: reused from the store" in progress.console.file.getvalue()


def test_a_run_with_nothing_to_train_shows_no_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    with RunProgress(total=0, stream=Terminal()) as progress:
        assert not progress.is_live
    assert progress.console.file.getvalue() == ""


def test_a_training_that_fails_is_not_counted():
    log = io.StringIO()
    progress = RunProgress(total=1, stream=log)
    with pytest.raises(RuntimeError, match="^broken$"), progress.training("CE"):
        raise RuntimeError("broken")
    assert (progress.done, log.getvalue()) == (0, "")


def test_a_stage_is_counted_when_it_is_done():
    log = io.StringIO()
    with RunProgress(total=2, unit="stages", stream=log) as progress:
        with progress.stage("seed 0, recover (edc)") as on_step:
            on_step(1, 2)
            assert progress.done == 0
            on_step(2, 2)
        with progress.training("seed 0, hard labels"):
            pass
    assert log.getvalue().splitlines() == ["[1/2] seed 0, recover (edc): 0 s", "[2/2] seed 0, hard labels: 0 s"]


def test_a_log_file_shows_steps_of_a_stage_now_and_then(monkeypatch):
    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_LINES", -1.0)
    log = io.StringIO()
    with RunProgress(total=1, unit="stages", stream=log).stage("recover") as on_step:
        on_step(1, 3)
        on_step(3, 3)
    assert log.getvalue() == "  recover: step 1/3\n  recover: step 3/3\n[1/1] recover: 0 s\n"


def test_a_terminal_has_one_bar_that_moves_with_the_steps_of_a_stage(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_MOVES", -1.0)
    seen = []
    with RunProgress(total=2, unit="stages", stream=Terminal()) as progress:
        task = progress._bar.tasks[0]
        progress.skip("squeeze", "reused from the store")
        with progress.stage("relabel") as on_step:
            for done in (1, 4):
                on_step(done, 4)
                seen.append((task.description, task.completed))
        assert (task.completed, task.total) == (2, 2)
    assert seen == [("relabel", 1.25), ("relabel", 2.0)]
    assert re.search(r"2\.0/2 stages", progress.console.file.getvalue())


def test_a_bar_is_not_moved_at_every_step(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress_module, "_SECONDS_BETWEEN_MOVES", 1000.0)
    with RunProgress(total=1, unit="stages", stream=Terminal()) as progress, progress.stage("recover") as on_step:
        on_step(1, 2)
        assert progress._bar.tasks[0].completed == 0


def test_a_stage_that_fails_is_not_counted():
    log = io.StringIO()
    progress = RunProgress(total=1, unit="stages", stream=log)
    with pytest.raises(RuntimeError, match="^broken$"), progress.stage("recover"):
        raise RuntimeError("broken")
    assert (progress.done, log.getvalue()) == (0, "")
