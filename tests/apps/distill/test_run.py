from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_distill_config

from lt_callbacks.apps.distill.rows import RECIPES
from lt_callbacks.apps.distill.run import run
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.apps.shared.claims import claimed_folder
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.corruption import Manifest
from lt_callbacks.distilled_set import DistilledSet, SoftLabels
from lt_callbacks.evaluation import ResultFile, read_result, write_result

METHODS = ("networks", "hard", "soft", "tau_1", "adsa", "oracle")
ROWS = f"methods=[{','.join(METHODS)}]"
LABELS = [RECIPES[method].title for method in METHODS]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp("distill")
    run(tiny_distill_config(folder, ROWS))
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run at another place, as if it had been made there."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def cells_of(folder):
    return read_result(folder / "run" / "metrics.json").results


def numbers(cell):
    """All of a cell that must not depend on when and where it ran."""
    values = cell.to_dict()
    values.pop("seconds")
    values["extra"] = {name: value for name, value in values["extra"].items() if name != "stage_seconds"}
    return values


def drop_cells(path, keep):
    """The document as it was when only ``keep`` cells were finished."""
    document = read_result(path)
    write_result(path, command="earlier", settings=document.settings, results=document.results[:keep])


def stages(text):
    """Lines about stages without their times, which are not reused ones."""
    lines = [line for line in text.splitlines() if line.startswith("[")]
    return [line.rpartition(": ")[0] for line in lines if not line.endswith("reused from the store")]


def reused(text):
    return [line.rpartition(": ")[0] for line in text.splitlines() if line.endswith("reused from the store")]


def test_the_document_has_every_cell_with_its_numbers(finished):
    document = read_result(finished / "run" / "metrics.json")
    assert [(cell.method, cell.seed) for cell in document.results] == [(label, 0) for label in LABELS]
    assert all(cell.seconds > 0 and len(cell.per_class) == 10 for cell in document.results)
    by_label = {cell.method: cell.extra for cell in document.results}
    assert [by_label[RECIPES[method].title]["tau"] for method in ("hard", "soft", "tau_1")] == [None, 0.0, 1.0]
    assert by_label["ADSA"]["stage_seconds"].keys() == {"squeeze", "recover", "relabel"}
    assert {"interval", "identified", "fit_on", "tau_by_views"} <= by_label["ADSA"]["fit"].keys()
    assert set(by_label["oracle tau (test set)"]["by_tau"]) == {"0.5", "1"}


def test_the_settings_of_a_document_are_all_that_decides_a_result(finished):
    settings = read_result(finished / "run" / "metrics.json").settings
    assert settings["distiller"] == {"name": "random_real", "images_per_class": 2, "settings": {}}
    assert settings["networks"] == ["small_cnn"]
    assert settings["student"]["num_passes"] == 12
    assert {"data", "imbalance", "noise", "views", "adsa", "oracle_taus", "score_on", "trainer"} <= settings.keys()
    assert not {"output", "store", "results", "methods", "seed", "num_seeds", "setting", "threads"} & settings.keys()


def test_every_file_of_a_run_is_there(finished):
    folder = finished / "run"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("per_class_accuracy", "tau", "confidence", "images")}
    inside = {"adsa.json", "distilled.json", "images.safetensors", "tau.png", "confidence.png", "images.png"}
    labels = {"soft_labels.json", "view-00000.safetensors", "view-00001.safetensors"}
    expected = {"metrics.json", "manifest-seed0.json", "report.md", "table.csv", *figures}
    expected |= {f"distilled-adsa/{name}" for name in inside | {f"soft_labels/{label}" for label in labels}}
    assert names == expected


def test_the_manifest_is_that_of_the_training(finished):
    manifest = Manifest.load(finished / "run" / "manifest-seed0.json")
    assert manifest.settings["seed"] == 0
    distilled = DistilledSet.load(finished / "run" / "distilled-adsa")
    assert distilled.provenance["manifest_sha256"] == manifest.sha256


def test_the_table_has_the_rows_asked_for(finished):
    lines = (finished / "run" / "table.csv").read_text().splitlines()
    assert [line.partition(",")[0].strip('"') for line in lines[1:]] == [label.partition(",")[0] for label in LABELS]
    report = (finished / "run" / "report.md").read_text()
    for label in LABELS:
        assert report.count(f"\n| {label} | 1 | ") == 1


def test_a_finished_run_trains_nothing_again(finished, copied, capsys):
    before = {path: path.read_bytes() for path in (copied / "run").rglob("*.json")}
    (copied / "run" / "report.md").unlink()
    run(tiny_distill_config(copied, ROWS))
    printed = capsys.readouterr()
    assert {path: path.read_bytes() for path in (copied / "run").rglob("*.json")} == before
    assert stages(printed.err) == []
    # What is shown is read from the store.
    assert reused(printed.err) == [
        "[1/3] seed 0, recover (random_real)",
        "[2/3] seed 0, squeeze (small_cnn)",
        "[3/3] seed 0, relabel",
    ]
    assert (copied / "run" / "report.md").exists()
    assert f"Results: {copied / 'run' / 'metrics.json'}\n" in printed.out
    assert f"Distilled set with ADSA's labels: {copied / 'run' / 'distilled-adsa'}\n" in printed.out


def test_threads_are_those_asked_for_and_change_no_result(copied):
    # Of a finished run: several threads on busy cores spend their time waiting for each other.
    document = (copied / "run" / "metrics.json").read_bytes()
    before = torch.get_num_threads()
    try:
        run(tiny_distill_config(copied, ROWS, "threads=2"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert (copied / "run" / "metrics.json").read_bytes() == document


def test_a_stopped_run_goes_on_with_what_is_missing(finished, copied, capsys):
    drop_cells(copied / "run" / "metrics.json", keep=3)
    run(tiny_distill_config(copied, ROWS))
    printed = capsys.readouterr().err
    tau = {cell.method: cell.extra.get("tau") for cell in cells_of(finished)}["ADSA"]
    assert stages(printed) == [
        "[4/6] seed 0, soft labels, tau = 1 (tau 1.00)",
        f"[5/6] seed 0, ADSA (tau {tau:.2f})",
        "[6/6] seed 0, oracle (tau 0.50)",
    ]
    assert len(reused(printed)) == 3
    assert [numbers(cell) for cell in cells_of(copied)] == [numbers(cell) for cell in cells_of(finished)]


def test_who_stops_a_run_is_told_how_to_go_on_and_loses_nothing(finished, tmp_path, monkeypatch, capsys):
    # Ctrl-C in the middle of relabelling, after the first view.
    real_write = SoftLabels.write

    def stop(labels, view, logits):
        if view == 1:
            raise KeyboardInterrupt
        real_write(labels, view, logits)

    monkeypatch.setattr(SoftLabels, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_distill_config(tmp_path, ROWS))
    document = tmp_path / "run" / "metrics.json"
    told = f"Stopped. The same command with results={document} goes on where this one was.\n"
    assert capsys.readouterr().err.endswith(told)
    assert [cell.method for cell in cells_of(tmp_path)] == LABELS[:2]
    assert not (tmp_path / "run" / "report.md").exists()
    (labelled,) = (tmp_path / "store" / "distilled").glob("*/*/view-*.safetensors")
    kept = labelled.stat().st_mtime_ns

    monkeypatch.undo()
    # A new folder, as Hydra would name one; the document is that of the stopped run.
    run(tiny_distill_config(tmp_path, ROWS, f"output={tmp_path / 'later'}", f"results={document}"))
    printed = capsys.readouterr().err
    assert stages(printed)[0] == "[3/7] seed 0, relabel"
    assert len(stages(printed)) == 5
    assert len(reused(printed)) == 2
    assert labelled.stat().st_mtime_ns == kept
    assert [numbers(cell) for cell in cells_of(tmp_path)] == [numbers(cell) for cell in cells_of(finished)]
    whole, continued = (
        SoftLabels.open(folder / "distilled-adsa" / "soft_labels") for folder in (finished / "run", tmp_path / "later")
    )
    everything = torch.arange(20)
    for view in range(2):
        assert torch.equal(whole.logits(everything, view), continued.logits(everything, view))


def test_a_document_is_not_continued_with_other_settings(copied):
    with pytest.raises(
        ValueError, match="^`settings` must equal those of the document that is continued; got student.temperature = "
    ):
        run(tiny_distill_config(copied, ROWS, "student.temperature=2"))


def test_another_student_learns_from_the_stored_labels(copied, capsys):
    other = ("methods=[adsa]", "student.temperature=2", f"output={copied / 'other'}")
    run(tiny_distill_config(copied, *other))
    printed = capsys.readouterr().err
    assert len(stages(printed)) == 1
    assert stages(printed)[0].startswith("[4/4] seed 0, ADSA (tau ")
    assert [line.partition("] ")[2] for line in reused(printed)] == [
        "seed 0, recover (random_real)",
        "seed 0, squeeze (small_cnn)",
        "seed 0, relabel",
    ]


def test_one_seed_alone_has_the_numbers_that_it_has_among_others(tmp_path, capsys):
    rows = "methods=[networks,hard,adsa]"
    run(tiny_distill_config(tmp_path / "both", rows, "num_seeds=2"))
    assert [line.partition("]")[0] for line in stages(capsys.readouterr().err)] == [f"[{n}/10" for n in range(1, 11)]
    run(tiny_distill_config(tmp_path / "alone", rows, "seed=1"))
    both, alone = cells_of(tmp_path / "both"), cells_of(tmp_path / "alone")
    assert [cell.seed for cell in both] == [0, 0, 0, 1, 1, 1]
    assert [numbers(cell) for cell in both[3:]] == [numbers(cell) for cell in alone]
    assert [cell.per_class for cell in both[:3]] != [cell.per_class for cell in alone]
    assert {path.name for path in (tmp_path / "both" / "run").glob("manifest-*.json")} == {
        "manifest-seed0.json",
        "manifest-seed1.json",
    }
    # What is shown is the first seed's.
    manifests = {folder: Manifest.load(tmp_path / folder / "run" / f"manifest-seed{seed}.json").sha256
                 for folder, seed in (("both", 0), ("alone", 1))}  # fmt: skip
    for folder, sha256 in manifests.items():
        distilled = DistilledSet.load(tmp_path / folder / "run" / "distilled-adsa")
        assert distilled.provenance["manifest_sha256"] == sha256


def test_cells_of_one_document_are_told_apart_by_name_and_a_table_has_its_own(finished, copied, capsys):
    document = copied / "run" / "metrics.json"
    run(
        tiny_distill_config(
            copied, "methods=[hard]", "setting=second", f"output={copied / 'two'}", f"results={document}"
        )
    )
    assert [cell.key for cell in cells_of(copied)][-1] == ("hard labels", 0, "second")
    report = (copied / "two" / "report.md").read_text()
    assert "| hard labels | 1 |" in report
    assert "soft labels" not in report.partition("```")[0]
    assert numbers(cells_of(copied)[-1]) | {"cell": ""} == numbers(cells_of(finished)[1])
    # The networks' row counts what a set needs too, which is shown.
    assert reused(capsys.readouterr().err)[0].startswith("[1/4] ")
    again = ("methods=[hard]", "setting=second", f"output={copied / 'three'}", f"results={document}")
    run(tiny_distill_config(copied, *again))
    printed = capsys.readouterr().err
    assert "1 of 1 result (methods times seeds) are reused from" in printed
    assert stages(printed) == []


def test_a_seed_whose_rows_need_no_labels_has_none(tmp_path, capsys):
    run(tiny_distill_config(tmp_path, "methods=[hard]", "num_seeds=2"))
    found = stages(capsys.readouterr().err)
    assert [line.partition("] ")[2] for line in found] == [
        "seed 0, recover (random_real)",
        "seed 0, hard labels",
        "seed 1, recover (random_real)",
        "seed 1, hard labels",
        # Of the set that is shown.
        "seed 0, squeeze (small_cnn)",
        "seed 0, relabel",
    ]
    assert found[-1].startswith("[6/6] ")


def test_a_resumed_run_of_a_named_setting_trains_no_finished_row_again(copied, capsys):
    document = copied / "run" / "metrics.json"
    arguments = ("methods=[hard,soft]", "setting=second", f"output={copied / 'two'}", f"results={document}")
    run(tiny_distill_config(copied, *arguments))
    assert len(stages(capsys.readouterr().err)) == 2
    before = document.read_bytes()
    run(tiny_distill_config(copied, *arguments))
    assert stages(capsys.readouterr().err) == []
    assert document.read_bytes() == before


def test_a_second_run_in_one_folder_is_refused_before_it_trains(tmp_path):
    config = tiny_distill_config(tmp_path, ROWS)
    place = Path(config.output)
    with (
        claimed_folder(place, results=place / "metrics.json", waits=False, preemption=Preemption()),
        pytest.raises(
            ValueError, match=r"^`output` must be a folder that no other run is writing to; got .* is at work"
        ),
    ):
        run(config)
    assert not (tmp_path / "store").exists()


def test_a_row_that_another_process_finished_meanwhile_is_not_trained(copied, capsys):
    """The document was read once, when the run began."""
    document = copied / "run" / "metrics.json"
    drop_cells(document, keep=2)
    theirs = cells_of(copied)[0]

    def finish_elsewhere(study, method):
        done = ResultFile(document, command="elsewhere", settings=read_result(document).settings)
        done.append_if_missing(replace(theirs, method="soft labels, tau = 1", accuracy=12.5))
        return real_run(study, method)

    real_run = DistillStudy.run
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DistillStudy, "run", finish_elsewhere)
        run(tiny_distill_config(copied, "methods=[soft,tau_1]"))
    assert {cell.method: cell.accuracy for cell in cells_of(copied)}["soft labels, tau = 1"] == 12.5
    assert "seed 0, soft labels, tau = 1: finished by another process meanwhile" in capsys.readouterr().err
