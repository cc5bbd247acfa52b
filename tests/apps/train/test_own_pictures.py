"""From a folder of messy pictures to predictions: the commands of docs/own-data.md, as a reader would type them."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import warm_processes
from messy_pictures import CLASSES, NUM_PICTURES, write_pictures
from PIL import Image
from warm_processes import environment

PAGE = Path(__file__).parents[3] / "docs" / "own-data.md"
# Small enough for a test; the rest is as typed.
SMALL = "num_seeds=1 threads=1 trainer.max_epochs=2 trainer.accelerator=cpu data.image_size=24 store=teachers"
#: That labels, or which of them are wrong, were known.
CLAIM = re.compile(r"\btrue\b|[Ww]rong[ _]labels[ _]fitted")
#: What JSON, YAML and Lightning's precisions write for other reasons.
NO_CLAIM = re.compile(r"(?m): true(?=[,}]|$)|>true<|\| true \||(32|64)-true|labels_are_true")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = f"{command} {SMALL}" if command.startswith("lt-train ") else command
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = warm_processes.run(line.split(), cwd=folder, env=environment(PATH=path))
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Folder, pictures in each class, and what each command of the page said."""
    folder = tmp_path_factory.mktemp("own data")
    filed = write_pictures(folder / "photos")
    write_pictures(folder / "new-photos", num_pictures=12, seed=1)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        files = sorted(path for path in (folder / "photos").rglob("picture *"))
        rows = [(path.relative_to(folder), path.relative_to(folder / "photos").parts[0]) for path in files]
        csv.writer(stream, delimiter=";").writerows([("path", "label"), *rows])
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert [command.split()[0] for command in commands] == [
        "lt-train", "lt-report", "lt-predict", "lt-train", "lt-predict",
    ]  # fmt: skip
    return folder, filed, [run(command, folder) for command in commands]


def test_the_first_line_counts_and_claims_nothing(workplace):
    _, _, (trained, *_) = workplace
    num_test = round(0.2 * NUM_PICTURES)
    num_training = NUM_PICTURES - num_test
    said = [line for line in trained.stderr.splitlines() if line.strip()]
    assert said[0] == (
        f"photos: {num_training} training samples in 3 classes (8 of them held out for validation), labels as given, nobody knows which of them are wrong. "
        f"Scored on held-out training samples by their given labels ({num_test} samples)."
    )


def test_no_text_that_a_run_leaves_claims_to_know_the_truth(workplace):
    folder, *_ = workplace
    texts = [path for path in (folder / "runs").rglob("*") if path.suffix in {".json", ".md", ".csv", ".html", ".yaml"}]
    assert {"metrics.json", "report.md", "table.csv", "report.html", "model.json", "manifest-seed0.json"} <= {
        path.name for path in texts
    }
    for path in texts:
        claims = NO_CLAIM.sub("", path.read_text(encoding="utf-8"))
        if path.suffix == ".html":
            claims = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", claims)
        # Line by line: a picture within a page is a line of a million letters, each a place to begin.
        assert not [line for line in claims.splitlines() if CLAIM.search(line)], path


def test_no_label_is_dropped_or_changed(workplace):
    folder, filed, _ = workplace
    manifest = json.loads((folder / "runs/photos/manifest-seed0.json").read_text())
    held_out = {name: round(0.2 * count) for name, count in filed.items()}
    counts = np.bincount(manifest["given_labels"], minlength=3)
    assert np.abs(counts - [filed[name] - held_out[name] for name in CLASSES]).max() <= 1
    assert counts.sum() == NUM_PICTURES - round(0.2 * NUM_PICTURES)
    assert manifest["given_labels"] == manifest["source_labels"]


def test_the_tables_say_what_was_scored(workplace):
    folder, *_ = workplace
    results = json.loads((folder / "runs/photos/metrics.json").read_text())["cells"]
    assert {result["scored_on"] for result in results} == {"held-out training samples by their given labels"}
    assert not any("wrong_labels_fitted" in result for result in results)
    for page in ("report.md", "page/report.html"):
        assert "held-out training samples by their given labels" in (folder / "runs/photos" / page).read_text()
    header = (folder / "runs/photos/table.csv").read_text().partition("\n")[0]
    assert "scored_on" in header
    assert "wrong" not in header


def test_there_is_no_figure_of_a_noise_that_nobody_knows(workplace):
    folder, *_ = workplace
    figures = {path.name for path in (folder / "runs/photos/figures").glob("*.png")}
    assert {"class_counts.png", "per_class_accuracy.png", "proxy_labels.png"} <= figures
    assert "transition.png" not in figures


def test_each_new_picture_has_its_prediction(workplace):
    folder, *_ = workplace
    lines = list(csv.DictReader((folder / "predictions.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(lines) == 12
    for line in lines:
        assert line["class"] in CLASSES
        assert 1 / 3 <= float(line["probability"]) <= 1
        with Image.open(line["path"] if Path(line["path"]).is_absolute() else folder / line["path"]):
            pass


def test_a_table_of_the_same_pictures_is_the_same_data(workplace):
    """Classes and their counts do not depend on how the pictures were named to the command."""
    folder, *_ = workplace
    table, images = (
        json.loads((folder / f"runs/{run}/manifest-seed0.json").read_text()) for run in ("table", "photos")
    )
    assert sorted(table["given_labels"]) == sorted(images["given_labels"])
    assert len((folder / "again.csv").read_text().splitlines()) == 1 + NUM_PICTURES
