from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from made_results import method_result
from patience import PATIENCE, wait_until
from tiny_run import tiny_config, tiny_study, type_command, write_image_files

from lt_callbacks._files import temporary_beside
from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.default_network import with_network_names
from lt_callbacks.apps.shared.claims import RowClaims, claimed_folder
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.shared.provenance import result_settings
from lt_callbacks.apps.train.run import run
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import ResultFile, read_result, write_result

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
    expected |= {"model/model.json", "model/weights.safetensors", "figures/proxy_labels.safetensors"}
    assert names == expected


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


def test_cells_of_one_document_are_told_apart_by_name_and_none_is_trained_again(tmp_path, capsys):
    document = tmp_path / "shared.json"
    for cell in ("first", "second", "first"):
        run(tiny_config(tmp_path / cell, "methods=[ce]", f"setting={cell}", f"results={document}"))
    assert [cell.key for cell in read_result(document).results] == [("CE", 0, "first"), ("CE", 0, "second")]
    said = capsys.readouterr().err
    assert said.count("[1/1] seed 0, CE: ") == 2
    # Nothing is left beside the document.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second", "shared.json"]


def test_rows_that_another_process_works_on_are_left_to_it_and_waited_for(tmp_path, capsys):
    config = tiny_config(tmp_path, "methods=[ce,imbalance_teacher]", "trainer.max_epochs=1")
    place = tmp_path / "run" / "metrics.json"
    source = build_source(config.data)
    settings = result_settings(with_network_names(config, source), tiny_study(tmp_path).datamodule)
    theirs = ResultFile(place, command="lt-train elsewhere", settings=settings)
    begun = threading.Event()

    def elsewhere():
        claims = RowClaims(theirs, setting="", progress=RunProgress(total=1), preemption=Preemption())
        with claims.row("CE", seed=0, waits=False):
            begun.set()
            # Until the other row is there: it was not waited with.
            wait_until(lambda: place.exists())
            claims.add(method_result("CE", 0, accuracy=12.5, per_class=[12.5] * 10))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert begun.wait(PATIENCE)
    run(config)
    thread.join()
    assert {cell.method: cell.accuracy for cell in read_result(place).results}["CE"] == 12.5
    assert [cell.method for cell in read_result(place).results] == ["f_L alone", "CE"]
    said = capsys.readouterr()
    assert "  seed 0, CE: left to host " in said.err
    assert "seed 0, CE: finished by another process meanwhile" in said.err
    # The table has the other process's row too.
    assert "12.5" in (tmp_path / "run" / "table.csv").read_text()
    assert not list((tmp_path / "run").glob(".*"))


def test_a_second_run_in_one_folder_is_refused_before_it_trains(tmp_path):
    config = tiny_config(tmp_path, "methods=[ce]")
    place = Path(config.output)
    with (
        claimed_folder(place, results=place / "metrics.json", waits=False, preemption=Preemption()),
        pytest.raises(
            ValueError, match=r"^`output` must be a folder that no other run is writing to; got .* is at work"
        ),
    ):
        run(config)
    assert not (place / "metrics.json").exists()
    assert not (tmp_path / "store").exists()


def test_a_manifest_counts_by_its_content_wherever_it_lies(tmp_path, capsys):
    document = tmp_path / "shared.json"
    first, second = (tiny_study(tmp_path, f"seed={seed}").datamodule.manifest for seed in (0, 1))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def go(path, folder):
        run(tiny_config(tmp_path / folder, "methods=[ce]", f"manifest={path}", f"results={document}"))

    go(first.save(tmp_path / "a" / "manifest.json"), "one")
    capsys.readouterr()
    go(first.save(tmp_path / "b" / "of another name.json"), "two")
    assert "1 of 1 result (methods times seeds) are reused from" in capsys.readouterr().err
    # The same place, other labels.
    second.save(tmp_path / "a" / "manifest.json")
    with pytest.raises(ValueError, match="^`settings` must equal those of the document .*; got manifest = "):
        go(tmp_path / "a" / "manifest.json", "three")
    assert len(read_result(document).results) == 1


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


def files_of(folder):
    """Path -> content, without what only this run's place is about."""
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content.replace(str(folder.parent).encode(), b"") for name, content in files.items()}


def test_a_run_that_was_killed_before_its_pages_has_all_of_them_after_the_rerun(finished, tmp_path, capsys):
    """The picture of the proxy labels needed the student, which only the process that trained it had."""
    folder = copied(finished, tmp_path)
    run_folder = folder / "run"
    for path in (run_folder / "report.md", run_folder / "table.csv", *(run_folder / "figures").glob("*.png")):
        path.unlink()
    # Nothing is there to be asked again.
    shutil.rmtree(folder / "store")
    run(tiny_config(folder))
    assert "[1/" not in capsys.readouterr().err
    assert files_of(run_folder) == files_of(finished / "run")


class Killed(BaseException):
    """Like a signal: nothing catches it."""


def test_a_run_that_is_killed_when_its_row_is_written_ends_as_the_one_that_was_not(tmp_path, monkeypatch, capsys):
    settings = ("methods=[dsink]", "trainer.max_epochs=1", "num_seeds=2")
    with monkeypatch.context() as patched:
        # After the document has the row.
        patched.setattr(SeedStudy, "finish", stop)
        with pytest.raises(Killed):
            run(tiny_config(tmp_path, *settings))
    run_folder = tmp_path / "run"
    assert len(list((run_folder / "unfinished").glob("dsink-seed0-*"))) == 1
    assert not (run_folder / "report.md").exists()
    temporary = temporary_beside(run_folder / "report.md")
    temporary.touch()
    monkeypatch.setattr("lt_callbacks._files.is_running", lambda process: False)
    capsys.readouterr()
    run(tiny_config(tmp_path, *settings))
    said = capsys.readouterr().err
    assert "seed 0, D-SINK" not in said
    names = {path.relative_to(run_folder).as_posix() for path in run_folder.rglob("*") if path.is_file()}
    figures = {"class_counts", "transition", "per_class_accuracy", "training_curves", "proxy_labels"}
    assert names == {
        *("metrics.json", "manifest-seed0.json", "manifest-seed1.json", "report.md", "table.csv"),
        *("model/model.json", "model/weights.safetensors", "figures/proxy_labels.safetensors"),
        *(f"figures/{name}.png" for name in figures),
    }
    assert "![Proxy labels](figures/proxy_labels.png)" in (run_folder / "report.md").read_text()
    # Empty folders are litter too.
    assert not (run_folder / "unfinished").exists()


def stop(*args, **settings):
    raise Killed
