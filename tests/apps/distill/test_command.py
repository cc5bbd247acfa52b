"""The command as typed."""

from __future__ import annotations

import json

import pytest
from tiny_run import type_distill, write_image_files

from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import read_result


def test_the_command_runs_and_the_document_names_it_without_its_folders(tmp_path, monkeypatch):
    assert (
        type_distill(monkeypatch, tmp_path, "methods=[hard]", "corruption_seed=0", "seed=5", "distiller=herding") == 0
    )
    text = (tmp_path / "run" / "metrics.json").read_text()
    assert str(tmp_path) not in text
    document = read_result(tmp_path / "run" / "metrics.json")
    (record,) = document.runs
    assert record["command"].startswith("lt-distill methods=[hard] ")
    assert record["command"].endswith(" corruption_seed=0 seed=5 distiller=herding")
    assert [(cell.method, cell.seed) for cell in document.results] == [("hard labels", 5)]
    # A corruption seed of 0 is not "none".
    assert Manifest.load(tmp_path / "run" / "manifest-seed5.json").settings["seed"] == 0
    assert json.loads((tmp_path / "run" / "distilled-adsa" / "adsa.json").read_text())["prior_source"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["methods=[soft,adsaa]"], "got 'adsaa'. Did you mean 'adsa'?"),
        (["distiller=edcc"], "Could not find 'distiller/edcc'"),
        (["distiller=edc", "+distiller.settings.num_stepz=3"], "`distiller.settings` must be one of 'num_steps'"),
        (["distiller.images_per_clas=3"], "got 'images_per_clas'. Did you mean 'images_per_class'?"),
        (["+views.crops=none"], "got 'crops'. Did you mean 'crop'?"),
        (["networks=[resnet]"], "`networks` must be one of"),
        # Of the other command.
        (["dsink.alpha=3"], "`settings` must be one of 'data', "),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, arguments, message
):
    assert type_distill(monkeypatch, tmp_path, *arguments) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert not list(tmp_path.rglob("metrics.json"))
    assert not (tmp_path / "store").exists()


def test_image_files_are_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    root = write_image_files(tmp_path / "pets")
    arguments = [
        "data=image_folder",
        "imbalance=exponential",
        f"data.root={root}",
        "data.image_size=8",
        "imbalance.factor=2",
    ]
    assert type_distill(monkeypatch, tmp_path, *arguments) == 1
    assert "`data` must hold its images in memory to be distilled" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
