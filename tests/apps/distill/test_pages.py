from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, replace

import pytest
from PIL import Image
from tiny_run import tiny_distill_config, tiny_distill_study

from lt_callbacks.apps.distill.pages import show, table_rows, write_pages

SETTINGS = ("methods=[soft,adsa]", "noise=symmetric", "noise.ratio=0.2", "adsa.fit_on=plain")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of a run, its study and its results."""
    folder = tmp_path_factory.mktemp("report")
    study = tiny_distill_study(folder, *SETTINGS)
    results = [study.run(method) for method in study.config.methods]
    write_pages(folder / "run", study.config, results, table_rows(study.config, results), study)
    return folder / "run", study, results


def test_the_report_shows_each_figure_once_by_a_relative_path(pages):
    folder, *_ = pages
    links = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "report.md").read_text())
    assert links == [f"figures/{name}.png" for name in ("per_class_accuracy", "tau", "confidence", "images")]
    for link in links:
        with Image.open(folder / link) as image:
            assert image.format == "PNG"
            assert min(image.size) > 300


def test_the_report_holds_the_table_and_the_settings(pages):
    folder, study, results = pages
    text = (folder / "report.md").read_text()
    for result in results:
        assert re.search(rf"^\| {result.method} \| 1 \| \**{result.accuracy:.1f}\** \|", text, flags=re.MULTILINE)
    assert "Difference to soft labels" in text
    (block,) = re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)
    assert json.loads(block) == json.loads(json.dumps(asdict(study.config)))


def test_all_numbers_are_in_a_csv_file(pages):
    folder, _, results = pages
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["soft labels", "ADSA"]
    assert [float(row["accuracy_mean"]) for row in rows] == pytest.approx([result.accuracy for result in results])
    assert float(rows[1]["difference_mean"]) == pytest.approx(results[1].accuracy - results[0].accuracy)


def title(folder):
    return (folder / "report.md").read_text().partition("\n")[0]


def test_the_title_says_what_was_distilled(pages):
    folder, study, _ = pages
    num_images = len(study.datamodule.manifest)
    assert title(folder) == f"# digits, {num_images:,} images distilled to 2 a class (random_real), imbalance 50"


def test_the_title_claims_no_settings_that_a_manifest_replaces(pages, tmp_path):
    _, study, results = pages
    config = replace(study.config, manifest="manifest.json", score_on="removed")
    write_pages(tmp_path / "other", config, results, table_rows(config, results), study)
    assert title(tmp_path / "other").endswith(
        " a class (random_real), from a manifest, scored on the images that the imbalance removed"
    )


def test_without_the_plain_row_there_is_nothing_to_compare_with(pages, tmp_path):
    _, study, results = pages
    config = tiny_distill_config(tmp_path, "methods=[adsa]")
    write_pages(tmp_path, config, results[1:], table_rows(config, results[1:]), study)
    assert "Difference" not in (tmp_path / "report.md").read_text()


def test_the_terminal_shows_the_table_and_where_everything_is(pages, capsys):
    folder, study, results = pages
    show(study.config, table_rows(study.config, results), folder, folder / "metrics.json")
    printed = capsys.readouterr().out
    assert re.search(rf"ADSA +1 +{results[1].accuracy:.1f}", printed)
    assert f"Results: {folder / 'metrics.json'}\n" in printed
    assert f"Report and figures: {folder}\n" in printed
    assert f"Distilled set with ADSA's labels: {folder / 'distilled-adsa'}\n" in printed
