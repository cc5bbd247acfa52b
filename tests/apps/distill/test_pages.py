from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import tiny_distill_config, tiny_distill_study

from lt_callbacks.apps.distill.pages import show, table_rows, write_pages, write_relabelled_set
from lt_callbacks.distilled_set import DistilledSet, SoftLabels

SETTINGS = ("methods=[soft,adsa]", "noise=symmetric", "noise.ratio=0.2", "adsa.fit_on=plain")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of a run, its study and its cells."""
    folder = tmp_path_factory.mktemp("report")
    study = tiny_distill_study(folder, *SETTINGS)
    cells = [study.run(method) for method in study.config.methods]
    write_relabelled_set(folder / "run" / "distilled-adsa", study)
    write_pages(folder / "run", study.config, cells, table_rows(study.config, cells), study)
    return folder / "run", study, cells


@pytest.fixture
def copied(pages, tmp_path):
    """The finished run and its store at another place."""
    shutil.copytree(pages[0].parent, tmp_path, dirs_exist_ok=True)
    return tmp_path


def content_of(folder):
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.*")}


# The relabelled set.


def test_the_set_is_there_with_calibrated_labels(pages):
    folder, study, cells = pages
    distilled = DistilledSet.load(folder / "distilled-adsa")
    assert distilled == study.distilled
    assert distilled.provenance == study.distilled.provenance
    labels = SoftLabels.open(folder / "distilled-adsa" / "soft_labels", distilled=distilled)
    assert (labels.views, labels.num_views, labels.missing_views(), labels.top_k) == (study.views, 2, [], None)

    tau = cells[1].extra["tau"]
    counts = np.bincount(study.datamodule.manifest.given_labels, minlength=10)
    offset = tau * (np.log(counts) - np.log(counts).mean())
    assert np.abs(offset).max() > 0.1
    everything = torch.arange(len(distilled))
    for view in range(2):
        expected = study.labels.logits(everything, view).numpy().astype(np.float64) - offset
        np.testing.assert_allclose(labels.logits(everything, view).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_labels_say_how_they_were_calibrated(pages):
    folder, study, cells = pages
    calibration = SoftLabels.open(folder / "distilled-adsa" / "soft_labels").calibration
    assert calibration["method"] == "adsa"
    assert calibration["tau"] == cells[1].extra["tau"]
    assert calibration["networks"] == study.network_keys
    counts = np.bincount(study.datamodule.manifest.given_labels, minlength=10)
    assert calibration["class_prior"] == pytest.approx((counts / counts.sum()).tolist())


def test_the_result_has_the_fit(pages):
    folder, study, cells = pages
    found = json.loads((folder / "distilled-adsa" / "adsa.json").read_text())
    assert (found["tau"], found["fit_on"], found["shrink_to"]) == (cells[1].extra["tau"], "plain", None)
    assert found["distilled_sha256"] == study.distilled.sha256
    assert found["class_names"] == list(study.source.class_names)
    assert found["interval"] == pytest.approx(cells[1].extra["fit"]["interval"])
    assert not (folder / "distilled-adsa" / "adsa.unfinished.json").exists()
    assert str(folder.parent) not in json.dumps(found)
    for name in ("tau", "confidence", "images"):
        with Image.open(folder / "distilled-adsa" / f"{name}.png") as image:
            assert min(image.size) > 300


def test_the_same_set_again_changes_nothing(pages, copied):
    before = content_of(copied / "run" / "distilled-adsa")
    study = tiny_distill_study(copied, *SETTINGS)
    write_relabelled_set(copied / "run" / "distilled-adsa", study)
    assert content_of(copied / "run" / "distilled-adsa") == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (("adsa.fit_on=crops",), r"another relabelled set, with tau -?\d.*, this run's is -?\d.*\. "),
        (("adsa.shrink_to=2",), r"another relabelled set, with tau -?\d.*, this run's is -?\d.*\. "),
        # tau is fitted on plain images: it is the same, and the labels are not.
        (("views.num_views=3",), "another relabelled set, of other images or views. "),
        (("views.mix=none",), "another relabelled set, of other images or views. "),
        (("distiller.images_per_class=1",), "another relabelled set, of other images or views. "),
        (("trainer.max_epochs=1",), "another relabelled set, of other images or views. "),
    ],
)
def test_another_relabelled_set_is_refused_by_name_and_stays(copied, changes, reason):
    folder = copied / "run" / "distilled-adsa"
    before = content_of(folder)
    given = {change.partition("=")[0] for change in changes}
    settings = [each for each in SETTINGS if each.partition("=")[0] not in given]
    study = tiny_distill_study(copied, *settings, *changes)
    message = rf"^`output` must be a new folder, or this run's own; '{re.escape(str(folder))}' holds {reason}Set hydra"
    with pytest.raises(ValueError, match=message):
        write_relabelled_set(folder, study)
    assert content_of(folder) == before


def test_a_tau_that_differs_in_its_last_digits_is_the_same(copied):
    # As on other hardware, or with other threads.
    study = tiny_distill_study(copied, *SETTINGS)
    study._fits["plain"] = replace(study.tau_fit, tau=study.tau_fit.tau + 1e-7)
    before = content_of(copied / "run" / "distilled-adsa")
    write_relabelled_set(copied / "run" / "distilled-adsa", study)
    assert content_of(copied / "run" / "distilled-adsa") == before


def test_a_set_whose_writing_was_killed_is_completed(pages, copied):
    folder = copied / "run" / "distilled-adsa"
    (folder / "adsa.json").unlink()
    (folder / "adsa.unfinished.json").write_text(json.dumps({"format": "lt_callbacks.adsa", "format_version": 1}))
    (folder / "soft_labels" / "view-00001.safetensors").unlink()
    (folder / "soft_labels" / ".view-00001.safetensors.ab.tmp").write_bytes(b"half")
    write_relabelled_set(folder, tiny_distill_study(copied, *SETTINGS))
    whole = pages[0] / "distilled-adsa"
    for path in whole.rglob("*.*"):
        if path.suffix != ".png":
            assert (folder / path.relative_to(whole)).read_bytes() == path.read_bytes()
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == {
        path.relative_to(whole) for path in whole.rglob("*.*")
    }


def test_files_of_somebody_else_are_not_overwritten(copied):
    (copied / "mine").mkdir()
    (copied / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"^`output` must be new or empty; '.*mine' holds \['thesis\.txt'\]"):
        write_relabelled_set(copied / "mine", tiny_distill_study(copied, *SETTINGS))
    assert [path.name for path in (copied / "mine").iterdir()] == ["thesis.txt"]


# The pages.


def test_the_report_shows_each_figure_once_by_a_relative_path(pages):
    folder, *_ = pages
    links = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "report.md").read_text())
    assert links == [f"figures/{name}.png" for name in ("per_class_accuracy", "tau", "confidence", "images")]
    for link in links:
        with Image.open(folder / link) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300


def test_the_report_holds_the_table_and_the_settings(pages):
    folder, study, cells = pages
    text = (folder / "report.md").read_text()
    for cell in cells:
        assert re.search(rf"^\| {cell.method} \| 1 \| \**{cell.accuracy:.1f}\** \|", text, flags=re.MULTILINE)
    assert "Difference to soft labels" in text
    (block,) = re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)
    assert json.loads(block) == json.loads(json.dumps(asdict(study.config)))


def test_all_numbers_are_in_a_csv_file(pages):
    folder, _, cells = pages
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["soft labels", "ADSA"]
    assert [float(row["accuracy_mean"]) for row in rows] == pytest.approx([cell.accuracy for cell in cells])
    assert float(rows[1]["difference_mean"]) == pytest.approx(cells[1].accuracy - cells[0].accuracy)


def title(folder):
    return (folder / "report.md").read_text().partition("\n")[0]


def test_the_title_says_what_was_distilled(pages):
    folder, study, _ = pages
    num_images = len(study.datamodule.manifest)
    assert title(folder) == f"# digits, {num_images:,} images distilled to 2 a class (random_real), imbalance 50"


def test_the_title_claims_no_settings_that_a_manifest_replaces(pages, copied):
    _, study, cells = pages
    config = replace(study.config, manifest="manifest.json", score_on="removed")
    write_pages(copied / "other", config, cells, table_rows(config, cells), study)
    assert title(copied / "other").endswith(
        " a class (random_real), from a manifest, scored on the images that the imbalance removed"
    )


def test_without_the_plain_row_there_is_nothing_to_compare_with(pages, tmp_path):
    _, study, cells = pages
    config = tiny_distill_config(tmp_path, "methods=[adsa]")
    write_pages(tmp_path, config, cells[1:], table_rows(config, cells[1:]), study)
    assert "Difference" not in (tmp_path / "report.md").read_text()


def test_the_terminal_shows_the_table_and_where_everything_is(pages, capsys):
    folder, study, cells = pages
    show(table_rows(study.config, cells), folder, folder / "metrics.json")
    printed = capsys.readouterr().out
    assert re.search(rf"ADSA +1 +{cells[1].accuracy:.1f}", printed)
    assert f"Results: {folder / 'metrics.json'}\n" in printed
    assert f"Report and figures: {folder}\n" in printed
    assert f"Distilled set with ADSA's labels: {folder / 'distilled-adsa'}\n" in printed
