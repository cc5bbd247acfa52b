"""The command as typed."""

from __future__ import annotations

import signal
import sys

import pytest
from lightning.pytorch import Callback
from tiny_run import type_command

from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import read_result


def test_the_command_runs_seed_0_if_told_to(tmp_path, monkeypatch):
    assert type_command(monkeypatch, tmp_path, "methods=[ce]", "seed=0", "corruption_seed=7") == 0
    document = read_result(tmp_path / "run" / "metrics.json")
    assert [cell.seed for cell in document.results] == [0]
    assert Manifest.load(tmp_path / "run" / "manifest-seed0.json").settings["seed"] == 7
    # A corruption seed of 0 is not "none".
    assert type_command(monkeypatch, tmp_path / "b", "methods=[ce]", "seed=5", "corruption_seed=0") == 0
    assert Manifest.load(tmp_path / "b" / "run" / "manifest-seed5.json").settings["seed"] == 0


def test_the_document_names_the_command_without_its_folders(tmp_path, monkeypatch):
    assert type_command(monkeypatch, tmp_path, "methods=[ce]") == 0
    text = (tmp_path / "run" / "metrics.json").read_text()
    assert str(tmp_path) not in text
    (record,) = read_result(tmp_path / "run" / "metrics.json").runs
    assert record["command"].startswith("lt-train methods=[ce] ")
    assert record["command"].endswith(" num_seeds=1 trainer.max_epochs=2 trainer.accelerator=cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["methods=[ce,dsnk]"], "got 'dsnk'. Did you mean 'dsink'?"),
        (["noise.ratoi=0.3"], "got 'ratoi'. Did you mean 'ratio'?"),
        (["+noise.ratoi=0.3"], "got 'ratoi'. Did you mean 'ratio'?"),
        (["noise.ratio=high"], "Value 'high' of type 'str' could not be converted to Float"),
        (["noise.ratio=1.5"], "`noise.ratio` must be a finite number >= 0 and < 1; got 1.5."),
        (
            ["imbalance.factor=0.01"],
            "`imbalance.factor` must be a finite number >= 1; got 0.01. It is head size over tail",
        ),
        (["dsink.alpha=-1"], "`dsink.alpha` must be a finite number >= 0; got -1.0."),
        (
            ["data=cifar10", "data.root=nowhere"],
            "`data.root` must hold nowhere/cifar-10-batches-py, whole; got missing",
        ),
        (["data.root=nowhere"], "`data.root` must be null for data set 'digits'"),
        (["data=csv_file"], "`data.train_csv` must be given for data set 'csv_file'; got null."),
        (["data=cifra10"], "Could not find 'data/cifra10'"),
        (["experiment=misspelt"], "Could not find 'experiment/misspelt'"),
        (["+callbacks.mine.x=1"], "`callbacks.mine` must have a `_target_`"),
        (["+logger.mine.x=1"], "`logger.mine` must have a `_target_`"),
        (["callbacks=dsink"], "must have a value; got an error: Interpolation key 'model.net' not found."),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, arguments, message
):
    assert type_command(monkeypatch, tmp_path, *arguments) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert "HYDRA_FULL_ERROR=1" in shown
    assert len(shown.splitlines()) < 30
    assert not list(tmp_path.rglob("metrics.json"))
    assert not (tmp_path / "store").exists()


def test_the_whole_trace_is_there_for_who_asks(tmp_path, monkeypatch):
    from lt_callbacks.apps.config.errors import CommandError

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(monkeypatch, "delenv", lambda *_, **__: None)
    with pytest.raises(CommandError, match=r"^`noise\.ratio` must be") as caught:
        type_command(monkeypatch, tmp_path, "noise.ratio=2")
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_in_the_middle_keeps_what_was_finished(tmp_path, monkeypatch, capsys):
    # The alarm of the monitor stops the D-SINK row: proxy labels of barely trained teachers are near-uniform.
    alarm = ["+callbacks.proxy_label_monitor.on_degenerate=raise", "+callbacks.proxy_label_monitor.uniform_above=0.1"]
    assert type_command(monkeypatch, tmp_path, "methods=[ce,dsink]", *alarm) == 1
    shown = capsys.readouterr().err
    assert "The proxy labels of epoch 0 are near-uniform" in shown
    assert "Traceback" not in shown
    assert [cell.method for cell in read_result(tmp_path / "run" / "metrics.json").results] == ["CE"]

    # The same command without the alarm goes on from there, with the teachers that were trained.
    assert type_command(monkeypatch, tmp_path, "methods=[ce,dsink]") == 0
    assert [cell.method for cell in read_result(tmp_path / "run" / "metrics.json").results] == ["CE", "D-SINK"]
    assert [line.partition(": ")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("[")] == [
        "[1/3] seed 0, noise teacher (elr)",
        "[2/3] seed 0, imbalance teacher (logit_adjustment)",
        "[3/3] seed 0, D-SINK",
    ]


class CtrlC(Callback):
    """What a person at the terminal does while D-SINK trains."""

    def on_train_epoch_start(self, trainer, pl_module):
        raise KeyboardInterrupt


def test_who_stops_a_run_is_told_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "at_the_terminal", sys.modules[__name__])
    handler = signal.getsignal(signal.SIGINT)
    try:
        stop = "+callbacks.stop._target_=at_the_terminal.CtrlC"
        assert type_command(monkeypatch, tmp_path, "methods=[ce,dsink]", stop) == 130
    finally:
        # Lightning leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
    document = tmp_path / "run" / "metrics.json"
    told = f"Stopped. The same command with results={document} goes on where this one was.\n"
    assert capsys.readouterr().err.endswith(told)
    assert [cell.method for cell in read_result(document).results] == ["CE"]
