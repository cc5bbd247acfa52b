from __future__ import annotations

import json
import shutil
import signal
import sys

import pytest
import torch
from lightning.pytorch import Callback
from tiny_run import tiny_config, type_command

from lt_callbacks.apps.train.command import run
from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import read_result, write_result

LABELS = ["CE", "f_L alone", "f_N alone", "naive distillation", "D-SINK"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole run with the default rows."""
    folder = tmp_path_factory.mktemp("train")
    run(tiny_config(folder))
    return folder


def copied(finished, folder):
    """The finished run at another place, as if it had been made there."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    return folder


def drop_cells(path, keep):
    """The document as it was when only ``keep`` cells were finished."""
    document = read_result(path)
    write_result(path, command="earlier", settings=document.settings, results=document.results[:keep])


def test_the_document_has_every_cell_with_its_numbers(finished):
    document = read_result(finished / "run" / "metrics.json")
    assert [(cell.method, cell.seed) for cell in document.results] == [(label, 0) for label in LABELS]
    assert document.settings["noise"] == {
        "kind": "symmetric",
        "ratio": 0.4,
        "given_labels_file": None,
        "given_labels_key": None,
        "transition_file": None,
    }
    assert document.settings["trainer"]["max_epochs"] == 2
    assert all(cell.seconds > 0 for cell in document.results)


def test_every_file_of_a_run_is_there(finished):
    names = {path.relative_to(finished / "run").as_posix() for path in (finished / "run").rglob("*") if path.is_file()}
    figures = {"class_counts", "transition", "per_class_accuracy", "training_curves", "proxy_labels"}
    expected = {"metrics.json", "manifest-seed0.json", "report.md", "table.csv"} | {f"figures/{f}.png" for f in figures}
    assert names - {".metrics.json.lock"} == expected


def test_the_manifest_is_that_of_the_training(finished):
    manifest = Manifest.load(finished / "run" / "manifest-seed0.json")
    assert manifest.settings["seed"] == 0
    assert manifest.settings["noise"]["ratio"] == 0.4
    assert 0.3 < manifest.noise_rate < 0.5


def test_a_finished_run_trains_nothing_again(finished, tmp_path, capsys):
    folder = copied(finished, tmp_path)
    before = (folder / "run" / "metrics.json").read_bytes()
    shutil.rmtree(folder / "store")
    (folder / "run" / "report.md").unlink()
    run(tiny_config(folder))
    assert (folder / "run" / "metrics.json").read_bytes() == before
    assert not (folder / "store").exists()
    assert (folder / "run" / "report.md").exists()
    assert capsys.readouterr().err == ""


def test_a_stopped_run_goes_on_with_what_is_missing(finished, tmp_path, capsys):
    folder = copied(finished, tmp_path)
    drop_cells(folder / "run" / "metrics.json", keep=3)
    run(tiny_config(folder))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines if line.startswith("[")] == [
        "[1/4] seed 0, noise teacher (elr)",
        "[2/4] seed 0, imbalance teacher (logit_adjustment)",
        "[3/4] seed 0, naive distillation",
        "[4/4] seed 0, D-SINK",
    ]
    whole, continued = (read_result(place / "run" / "metrics.json") for place in (finished, folder))
    assert [cell.per_class for cell in continued.results] == [cell.per_class for cell in whole.results]
    assert [cell.key for cell in continued.results] == [cell.key for cell in whole.results]


def test_a_document_is_not_continued_with_other_settings(finished, tmp_path):
    folder = copied(finished, tmp_path)
    with pytest.raises(ValueError, match="^`settings` must equal those of the document that is continued; .* dsink = "):
        run(tiny_config(folder, "dsink.alpha=3"))


def test_several_runs_add_to_one_document(tmp_path, capsys):
    document = tmp_path / "shared.json"
    for seed in (0, 1):
        run(tiny_config(tmp_path / str(seed), "methods=[ce]", f"seed={seed}", f"results={document}"))
    assert [cell.seed for cell in read_result(document).results] == [0, 1]
    # A run's own table has its own seeds.
    assert "| CE | 1 |" in (tmp_path / "1" / "run" / "report.md").read_text()
    capsys.readouterr()
    run(tiny_config(tmp_path / "both", "methods=[ce]", "num_seeds=2", f"results={document}"))
    printed = capsys.readouterr()
    # Both seeds were finished by the others: nothing is trained.
    assert printed.err == ""
    assert f"Results: {document}" in printed.out
    assert len(read_result(document).results) == 2
    assert "| CE | 2 |" in (tmp_path / "both" / "run" / "report.md").read_text()
    # Where all was finished elsewhere, the manifests of all seeds are there none the less.
    assert sorted(path.name for path in (tmp_path / "both" / "run").glob("*.json")) == [
        "manifest-seed0.json",
        "manifest-seed1.json",
    ]


def test_cells_of_one_document_are_told_apart_by_name(tmp_path):
    document = tmp_path / "shared.json"
    for cell in ("first", "second"):
        run(tiny_config(tmp_path / cell, "methods=[ce]", f"setting={cell}", f"results={document}"))
    assert [cell.key for cell in read_result(document).results] == [("CE", 0, "first"), ("CE", 0, "second")]


def test_threads_are_those_asked_for(tmp_path):
    before = torch.get_num_threads()
    try:
        run(tiny_config(tmp_path, "methods=[ce]", "threads=2"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# The command as typed.


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
        (["noise.ratoi=0.3"], "Key 'ratoi' not in 'NoiseConfig'"),
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
        (["callbacks=dsink"], "must have a value; Interpolation key 'model.net' not found."),
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
        assert type_command(monkeypatch, tmp_path, "methods=[ce,dsink]", stop) == 1
    finally:
        # Lightning leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
    document = tmp_path / "run" / "metrics.json"
    told = f"Stopped. The same command with results={document} goes on where this one was.\n"
    assert capsys.readouterr().err.endswith(told)
    assert [cell.method for cell in read_result(document).results] == ["CE"]


@pytest.mark.ddp
def test_a_sweep_writes_a_folder_for_each_job_with_its_settings(tmp_path, monkeypatch):
    arguments = ("-m", "methods=[ce]", "noise.ratio=0.2,0.4", "imbalance.factor=10")
    assert type_command(monkeypatch, tmp_path, *arguments) == 0
    found = {}
    for file in sorted((tmp_path / "sweep").glob("*/job.json")):
        document = read_result(file.parent / "metrics.json")
        manifest = Manifest.load(file.parent / "manifest-seed0.json")
        settings = (document.settings["noise"]["ratio"], document.settings["imbalance"]["factor"])
        assert (manifest.settings["noise"]["ratio"], manifest.settings["imbalance"]["factor"]) == settings
        assert [cell.method for cell in document.results] == ["CE"]
        assert (file.parent / "report.md").exists()
        found[settings] = document.results[0].accuracy
    assert sorted(found) == [(0.2, 10), (0.4, 10)]

    # A job of a sweep is the run that it says it is.
    run(tiny_config(tmp_path / "alone", "methods=[ce]", "noise.ratio=0.4", "imbalance.factor=10"))
    alone = read_result(tmp_path / "alone" / "run" / "metrics.json")
    assert alone.results[0].accuracy == found[0.4, 10]


def test_settings_of_a_document_are_json(finished):
    content = json.loads((finished / "run" / "metrics.json").read_text())
    assert content["settings"] == read_result(finished / "run" / "metrics.json").settings
