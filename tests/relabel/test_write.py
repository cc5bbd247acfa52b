from __future__ import annotations

import json

import pytest
import torch
from adsa_small import COUNTS, distilled_set, hashes
from relabel_small import VIEWS, source, task

from lt_callbacks.adsa import calibrate
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views
from lt_callbacks.relabel import RelabelledFolder, find_calibration
from lt_callbacks.relabel.ranks import OneProcess
from lt_callbacks.relabel.write import write_relabelled

EVERYTHING = torch.arange(len(distilled_set()))
VIEW_FILES = {f"soft_labels/view-{view:05}.safetensors" for view in range(3)}
FILES = {
    "distilled.json", "images.safetensors", "adsa.json", "tau.png", "confidence.png", "images.png",
    "soft_labels/soft_labels.json", *VIEW_FILES,
}  # fmt: skip


def write(folder, asked=None, of=None, *, ranks=None, on_view=None):
    asked, of = asked or task(), of or source()
    found = find_calibration(asked, of)
    report = write_relabelled(asked, of, found, RelabelledFolder(folder), ranks=ranks or OneProcess(), on_view=on_view)
    return found, report


def test_the_folder_is_the_set_its_calibrated_labels_and_a_report(tmp_path):
    told = []
    found, report = write(tmp_path / "out", task(target_prior=[4, 3, 2, 1]), on_view=told.append)
    assert hashes(tmp_path / "out").keys() == FILES
    assert told == [0, 1, 2]
    distilled = DistilledSet.load(tmp_path / "out")
    assert distilled == distilled_set()
    labels = SoftLabels.open(tmp_path / "out" / "soft_labels", distilled=distilled)
    for view in range(3):
        logits = source().of(Views(distilled, VIEWS))(EVERYTHING, view)
        expected = calibrate(logits, COUNTS, found.label_fit.tau, target_prior=[4, 3, 2, 1])
        assert torch.allclose(labels.logits(EVERYTHING, view), expected, atol=1e-3, rtol=1e-3)
    assert report.files == {name: tmp_path / "out" / f"{name}.png" for name in ("tau", "confidence", "images")}
    assert report.figures.keys() == report.files.keys()
    assert json.loads((tmp_path / "out" / "adsa.json").read_text())["tau"] == found.label_fit.tau


def test_logits_that_are_stored_are_calibrated_as_those_that_are_computed(tmp_path):
    computed = source()
    at_hand = computed.of(Views(distilled_set(), VIEWS))
    seen = []

    def stored(samples, view):
        seen.append((view, len(samples)))
        return at_hand(samples, view)

    write(tmp_path / "computed", of=computed)
    write(tmp_path / "stored", of=source(stored=stored))
    assert hashes(tmp_path / "stored") == hashes(tmp_path / "computed")
    # Batches of seven of the 24 images, and nothing but the views that are labelled.
    assert seen == [(view, size) for view in range(3) for size in (7, 7, 7, 3)]


class Rank:
    """A rank whose parts the test starts; says in which order they came."""

    num_ranks = 2

    def __init__(self, rank):
        self.rank, self.num_parts = rank, 0

    def total(self, values):
        return values

    def together(self, work):
        self.num_parts += 1
        return work()


def test_ranks_share_the_views_and_the_first_one_writes_the_rest(tmp_path):
    asked, of = task(), source()
    found = find_calibration(asked, of)
    folder = RelabelledFolder(tmp_path / "out")
    folder.prepare(asked.distilled, views=VIEWS, num_views=3, top_k=None, calibration={"tau": "of the first rank"})
    second = Rank(1)
    assert write_relabelled(asked, of, found, folder, ranks=second) is None
    assert hashes(tmp_path / "out").keys() & VIEW_FILES == {"soft_labels/view-00001.safetensors"}
    assert not folder.is_finished
    first = Rank(0)
    assert write_relabelled(asked, of, found, folder, ranks=first) is not None
    assert folder.is_finished
    # Every rank waits for the others as often.
    assert first.num_parts == second.num_parts == 3


def test_a_finished_folder_is_not_written_to_again(tmp_path):
    write(tmp_path / "out")
    before = hashes(tmp_path / "out")
    with pytest.raises(ValueError, match="^`output` must be new; got .* holds a finished relabelling"):
        write(tmp_path / "out")
    assert hashes(tmp_path / "out") == before
