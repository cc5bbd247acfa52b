from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image
from tiny_run import tiny_config, tiny_study

from lt_callbacks.apps.train.pages import _curves, show, table_rows, write_pages
from lt_callbacks.apps.train.shown_samples import keep_shown_samples
from lt_callbacks.corruption import Manifest
from lt_callbacks.evaluation import MethodResult


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    study = tiny_study(folder, "methods=[ce,dsink]", "test_every_n_epochs=2")
    cells = [study.run(method) for method in study.config.methods]
    keep_shown_samples(study, "dsink")
    write_pages(folder / "run", study.config, cells, table_rows(study.config, cells), study)
    return folder / "run", study, cells


def test_the_report_shows_each_figure_once_by_a_relative_path(pages):
    folder, *_ = pages
    links = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "report.md").read_text())
    names = ["class_counts", "transition", "per_class_accuracy", "training_curves", "proxy_labels"]
    assert links == [f"figures/{name}.png" for name in names]
    for link in links:
        with Image.open(folder / link) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300


def test_the_report_holds_the_table_and_the_settings(pages):
    folder, study, cells = pages
    text = (folder / "report.md").read_text()
    for cell in cells:
        assert re.search(rf"^\| {cell.method} \| 1 \| \**{cell.accuracy:.1f}\** \|", text, flags=re.MULTILINE)
    assert "Difference to CE" in text
    (block,) = re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)
    assert json.loads(block) == json.loads(json.dumps(asdict(study.config)))


def test_the_title_says_what_was_done_to_the_labels(pages):
    folder, study, _ = pages
    manifest = study.datamodule.manifest
    wrong = int((manifest.given_labels != manifest.true_labels).sum())
    title = (folder / "report.md").read_text().partition("\n")[0]
    assert title == (
        f"# digits: imbalance 20, symmetric noise, {100 * wrong / len(manifest):.1f} % of {len(manifest)} labels wrong"
    )


def test_the_title_does_not_claim_settings_that_a_manifest_replaces(tmp_path):
    made = tiny_study(tmp_path, "imbalance=none", "noise=none").datamodule.manifest
    path = made.save(tmp_path / "clean.json")
    study = tiny_study(tmp_path, f"manifest={path}", "methods=[ce]")
    results = [study.run("ce")]
    write_pages(tmp_path / "run", study.config, results, table_rows(study.config, results), study)
    title = (tmp_path / "run" / "report.md").read_text().partition("\n")[0]
    assert title == f"# digits: from a manifest, 0.0 % of {len(made):,} labels wrong"
    assert Manifest.load(path) == study.datamodule.manifest


def test_all_numbers_are_in_a_csv_file(pages):
    folder, _, cells = pages
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["CE", "D-SINK"]
    assert [float(row["accuracy_mean"]) for row in rows] == pytest.approx([cell.accuracy for cell in cells])
    assert float(rows[1]["difference_mean"]) == pytest.approx(cells[1].accuracy - cells[0].accuracy)


def test_without_a_dsink_student_there_is_no_picture_of_its_labels(pages, tmp_path):
    _, study, cells = pages
    config = tiny_config(tmp_path, "methods=[dsink]")
    fresh = tiny_study(tmp_path)
    write_pages(tmp_path, config, cells[1:], table_rows(config, cells[1:]), fresh)
    assert "proxy_labels" not in (tmp_path / "report.md").read_text()
    # Without CE there is nothing to compare with.
    assert "Difference" not in (tmp_path / "report.md").read_text()


def test_the_terminal_shows_the_table_and_where_everything_is(pages, capsys):
    folder, study, cells = pages
    show(study.config, table_rows(study.config, cells), folder, folder / "metrics.json")
    printed = capsys.readouterr().out
    assert re.search(rf"D-SINK +1 +{cells[1].accuracy:.1f}", printed)
    assert f"Results: {folder / 'metrics.json'}\n" in printed
    assert f"Report, figures and manifests: {folder}\n" in printed


def test_curves_of_seeds_that_stopped_early_are_filled_up():
    def method_result(method, seed, **curves):
        extra = {"curves": curves} if curves else {}
        shares = {"accuracy": 1, "many": 1, "medium": 1, "few": 1, "per_class": [1]}
        return MethodResult(method=method, seed=seed, seconds=0, extra=extra, **shares)

    cells = [
        method_result("CE", 0, epoch=[1, 2], train_loss=[0.5, None]),
        method_result("CE", 1, epoch=[1, 2, 3], train_loss=[0.4, 0.3, 0.2]),
        method_result("f_N alone", 0),
    ]
    curves = _curves(cells)
    assert list(curves) == ["CE"]
    assert curves["CE"]["epoch"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(curves["CE"]["train_loss"], [[0.5, np.nan, np.nan], [0.4, 0.3, 0.2]])
