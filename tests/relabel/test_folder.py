from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
from adsa_small import distilled_set, hashes

from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings
from lt_callbacks.relabel.folder import LABELS, MARKER, RESULT, RelabelledFolder

SETTINGS = {"views": ViewSettings(), "num_views": 3, "calibration": {"tau": 0.5, "model_sha256": "a"}, "top_k": None}


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


def prepared(folder, distilled=None, **changes):
    return RelabelledFolder(folder).prepare(distilled or distilled_set(), **{**SETTINGS, **changes})


def some_logits(value=0.0):
    return torch.full((len(distilled_set()), 4), value)


# What the folder may be.


@pytest.mark.parametrize(
    "name",
    [
        "in",
        "in/",
        "./in",
        "in/../in",
        "in/labels",
        "in/a/b",
        "link",
        "link/x",
        "other/../in",
        "other/up/in",
        "new/../in",
    ],
)
def test_the_inputs_own_folder_is_refused_whatever_it_is_called(source, tmp_path, name):
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "up").symlink_to(tmp_path)
    output = RelabelledFolder(f"{tmp_path}/{name}")
    with pytest.raises(ValueError, match="^`output` must not be the folder `distilled` nor inside of it"):
        output.check(source)


def test_the_input_may_be_called_by_a_link_too(source, tmp_path):
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(ValueError, match="^`output` must not be the folder `distilled`"):
        RelabelledFolder(source).check(tmp_path / "link")


def test_a_relative_path_is_the_same_folder(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="^`output` must not be the folder `distilled`"):
        RelabelledFolder("in").check(source)
    RelabelledFolder("in-adsa").check("in")


def test_a_folder_beside_it_whose_name_begins_alike_is_fine(source, tmp_path):
    RelabelledFolder(tmp_path / "in-adsa").check(source)
    assert not (tmp_path / "in-adsa").exists()


def test_a_folder_of_something_else_is_refused_and_left_alone(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    text = f"`output` must be new or empty; got '{tmp_path / 'out'}', which holds ['thesis.tex'] that no relabelling"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        RelabelledFolder(tmp_path / "out").check(source)
    with pytest.raises(ValueError, match="^`output` must be new or empty"):
        prepared(tmp_path / "out")
    assert hashes(tmp_path / "out").keys() == {"thesis.tex"}


def test_a_folder_that_holds_the_input_is_refused(tmp_path):
    distilled_set().save(tmp_path / "out" / "in")
    with pytest.raises(ValueError, match="^`output` must be new or empty"):
        RelabelledFolder(tmp_path / "out").check(tmp_path / "out" / "in")


def test_a_marker_of_another_program_does_not_make_the_folder_ours(source, tmp_path):
    (tmp_path / "out").mkdir()
    for content in ("{}", "[1]", '{"format": "other"}', "x"):
        (tmp_path / "out" / MARKER).write_text(content)
        with pytest.raises(ValueError, match="^`output` must be new or empty"):
            RelabelledFolder(tmp_path / "out").check(source)


def test_a_file_is_refused(source, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(ValueError, match="^`output` must be a folder; got .*, a file. Name another"):
        RelabelledFolder(tmp_path / "out").check(source)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_training(source, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(
        PermissionError, match="^`output` must be a place where files can be written; got '.*': .*\\. Name another"
    ):
        RelabelledFolder(tmp_path / "locked" / "a" / "b").check(source)


def test_a_set_that_is_in_no_folder_is_not_looked_for(tmp_path):
    RelabelledFolder(tmp_path / "out").check()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="^`output` must be a folder"):
        RelabelledFolder(tmp_path / "file").check()


def test_an_empty_folder_is_fine(source, tmp_path):
    (tmp_path / "out").mkdir()
    RelabelledFolder(tmp_path / "out").check(source)
    # A process that died within its first write.
    (tmp_path / "out" / f".{MARKER}.0a1b.tmp").write_text("{")
    RelabelledFolder(tmp_path / "out").check(source)


# What is written.


def test_the_output_is_a_distilled_set_with_labels(tmp_path):
    labels = prepared(tmp_path / "out")
    assert labels.missing_views() == [0, 1, 2]
    assert DistilledSet.load(tmp_path / "out") == distilled_set()
    assert SoftLabels.open(tmp_path / "out" / LABELS, distilled=distilled_set()).calibration == SETTINGS["calibration"]
    assert (tmp_path / "out" / MARKER).exists()
    assert not (tmp_path / "out" / RESULT).exists()


def test_the_result_comes_last_and_finishes_the_folder(source, tmp_path):
    output = RelabelledFolder(tmp_path / "out")
    assert not output.is_finished
    prepared(tmp_path / "out")
    output.check(source)
    assert not output.is_finished
    output.finish({"tau": 0.5})
    assert output.is_finished
    assert not (tmp_path / "out" / MARKER).exists()
    result = json.loads((tmp_path / "out" / RESULT).read_text())
    assert (result["format"], result["format_version"], result["tau"]) == ("lt_callbacks.adsa", 2, 0.5)
    for again in (lambda: output.check(source), lambda: prepared(tmp_path / "out")):
        with pytest.raises(ValueError, match=r"^`output` must be new; .* holds a finished relabelling \(adsa.json\)"):
            again()


def test_a_process_that_died_after_the_result_has_finished(source, tmp_path):
    prepared(tmp_path / "out")
    RelabelledFolder(tmp_path / "out").finish({})
    (tmp_path / "out" / MARKER).write_text('{"format": "lt_callbacks.adsa"}')
    with pytest.raises(ValueError, match="holds a finished relabelling"):
        RelabelledFolder(tmp_path / "out").check(source)


# What a stopped run left.


def test_views_of_the_same_model_and_tau_stay(tmp_path):
    prepared(tmp_path / "out").write(1, some_logits(2.0))
    labels = prepared(tmp_path / "out")
    assert labels.missing_views() == [0, 2]
    assert float(labels.logits(torch.tensor([0]), 1)[0, 0]) == 2.0


@pytest.mark.parametrize(
    "change",
    [
        {"calibration": {"tau": 0.6, "model_sha256": "a"}},
        {"calibration": {"tau": 0.5, "model_sha256": "b"}},
        {"num_views": 4},
        {"views": ViewSettings(seed=1)},
        {"top_k": 2},
        {"distilled": distilled_set(names=("a", "b", "c", "d"))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_views_of_another_model_tau_or_set_are_replaced(tmp_path, change):
    prepared(tmp_path / "out").write(1, some_logits(2.0))
    labels = prepared(tmp_path / "out", **change)
    assert 1 in labels.missing_views()
    assert DistilledSet.load(tmp_path / "out") == change.get("distilled", distilled_set())


def test_damaged_facts_of_a_stopped_run_are_replaced(tmp_path):
    for name in ("distilled.json", f"{LABELS}/soft_labels.json", "images.safetensors"):
        prepared(tmp_path / "out").write(1, some_logits(2.0))
        (tmp_path / "out" / name).write_bytes(b"{")
        prepared(tmp_path / "out").write(1, some_logits(3.0))
        assert DistilledSet.load(tmp_path / "out") == distilled_set()
        RelabelledFolder(tmp_path / "out")._clear()


def test_what_a_dying_process_was_writing_is_removed(tmp_path):
    labels = prepared(tmp_path / "out")
    labels.write(1, some_logits())
    clean = hashes(tmp_path / "out")
    (labels.folder / ".view-00002.safetensors.ab12.tmp").write_bytes(b"half")
    (tmp_path / "out" / ".adsa.json.ab12.tmp").write_bytes(b"half")
    prepared(tmp_path / "out")
    assert hashes(tmp_path / "out") == clean


def test_replacing_touches_nothing_of_the_users(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "soft_labels.json").write_text("{}")
    prepared(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for path in (tmp_path / "out" / LABELS).iterdir():
        path.unlink()
    (tmp_path / "out" / LABELS).rmdir()
    (tmp_path / "out" / LABELS).symlink_to(elsewhere)
    prepared(tmp_path / "out")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (elsewhere / "soft_labels.json").read_text() == "{}"
    assert not Path(tmp_path / "out" / LABELS).is_symlink()
