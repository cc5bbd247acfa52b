from __future__ import annotations

import json
import shutil

import pytest
import torch
from tiny_run import tiny_config, type_command, write_image_files

from lt_callbacks.apps.train.run import run
from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import read_result, write_result

LABELS = ["CE", "f_L alone", "f_N alone", "f_N matched to f_L, no training", "naive distillation", "D-SINK"]


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
    # The row that nothing is trained for took no time.
    assert [cell.method for cell in document.results if not cell.seconds] == ["f_N matched to f_L, no training"]


def test_every_file_of_a_run_is_there(finished):
    names = {path.relative_to(finished / "run").as_posix() for path in (finished / "run").rglob("*") if path.is_file()}
    figures = {"class_counts", "transition", "per_class_accuracy", "training_curves", "proxy_labels"}
    expected = {"metrics.json", "manifest-seed0.json", "report.md", "table.csv"} | {f"figures/{f}.png" for f in figures}
    expected |= {"model/model.json", "model/weights.safetensors"}
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
    said = capsys.readouterr().err
    document = folder / "run" / "metrics.json"
    assert f"6 of 6 results (methods times seeds) are reused from {document}; nothing is left to run.\n" in said
    # Nothing is trained, and so nothing taken from the store.
    assert "[1/" not in said
    assert "Store of" not in said


def test_a_stopped_run_goes_on_with_what_is_missing(finished, tmp_path, capsys):
    folder = copied(finished, tmp_path)
    drop_cells(folder / "run" / "metrics.json", keep=3)
    run(tiny_config(folder))
    lines = capsys.readouterr().err.splitlines()
    assert f"Store of trained teachers: {folder / 'store'}. What it has already is reused." in lines
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
    with pytest.raises(
        ValueError, match="^`settings` must equal those of the document that is continued; got dsink.alpha = "
    ):
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
    assert f"2 of 2 results (methods times seeds) are reused from {document}; nothing is left to run.\n" in printed.err
    assert "[1/" not in printed.err
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


def test_threads_are_those_asked_for(finished, tmp_path):
    # Of a finished run: several threads on busy cores spend their time waiting for each other.
    folder = copied(finished, tmp_path)
    before = torch.get_num_threads()
    try:
        run(tiny_config(folder, "threads=2"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_settings_of_a_document_are_json(finished):
    content = json.loads((finished / "run" / "metrics.json").read_text())
    assert content["settings"] == read_result(finished / "run" / "metrics.json").settings


def test_a_damaged_test_picture_is_found_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    """It was found when the training was over: the test set is what a run reads last."""
    images = write_image_files(tmp_path / "images")
    broken = images / "test" / "dog" / "0.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    arguments = ("methods=[ce]", "data=image_folder", "data.image_size=8", "data.num_workers=0", f"data.root={images}")
    assert type_command(monkeypatch, tmp_path, *arguments) == 1
    said = capsys.readouterr().err
    assert f"`data` must hold pictures that can be read; got 1 that cannot: {broken}." in said
    assert "[1/" not in said
    assert not (tmp_path / "run" / "metrics.json").exists()
    broken.write_bytes(whole)
    assert type_command(monkeypatch, tmp_path, *arguments) == 0
    # What is finished is not looked at again.
    monkeypatch.setattr("lt_callbacks.apps.train.run.check_pictures", lambda source: pytest.fail("read again"))
    assert type_command(monkeypatch, tmp_path, *arguments) == 0
