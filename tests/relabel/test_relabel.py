from __future__ import annotations

import ast
import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from adsa_small import COUNTS, Data, adsa, distilled_set, fresh, hashes, trainer
from relabel_small import source, task

import lt_callbacks.relabel
from lt_callbacks.relabel import RelabelledFolder, find_calibration, relabel
from lt_callbacks.relabel.ranks import OneProcess

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ")


def test_from_observations_to_the_folder(tmp_path):
    told = []
    done = relabel(task(), source(), RelabelledFolder(tmp_path / "out"), on_view=told.append)
    assert done.calibration.fit.tau == find_calibration(task(), source()).fit.tau
    assert done.report.files["tau"] == tmp_path / "out" / "tau.png"
    assert told == [0, 1, 2]
    result = json.loads((tmp_path / "out" / "adsa.json").read_text())
    assert result["tau"] == done.calibration.label_fit.tau
    assert result["alarms"] == list(done.calibration.alarms)


def test_a_calibration_that_is_at_hand_is_not_made_again(tmp_path):
    found = find_calibration(task(), source())
    shifted = replace(found, label_fit=replace(found.label_fit, tau=0.25))
    done = relabel(task(), source(), RelabelledFolder(tmp_path / "out"), found=shifted)
    assert done.calibration is shifted
    assert json.loads((tmp_path / "out" / "adsa.json").read_text())["tau"] == 0.25


def test_alarms_are_warnings_before_the_labels_are_written(tmp_path):
    with pytest.warns(UserWarning, match=r"^Less than 25 % of the images of") as caught:
        done = relabel(task(), source(), RelabelledFolder(tmp_path / "out"))
    assert [str(warning.message) for warning in caught] == list(done.calibration.alarms)
    # They point at whoever asked for the labels.
    assert {warning.filename for warning in caught} == {__file__}


def test_only_the_first_rank_warns(tmp_path):
    class SecondRank(OneProcess):
        rank, num_ranks = 1, 2

    folder = RelabelledFolder(tmp_path / "out")
    folder.prepare(task().distilled, views=task().settings.views, num_views=3, calibration={}, top_k=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = relabel(task(), source(), folder, found=find_calibration(task(), source()), ranks=SecondRank())
    assert done.calibration.alarms
    assert done.report is None


def test_with_raise_an_alarm_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(RuntimeError, match="^Less than 25 % .* Nothing was written. Set `on_degenerate='warn'`"):
        relabel(task(on_degenerate="raise"), source(), RelabelledFolder(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_callback_writes_the_files_of_this_function(tmp_path):
    """Byte by byte, but for what only a trainer knows."""
    distilled_set().save(tmp_path / "in")
    settings = {"fit_on": "plain", "num_fit_views": 2, "batch_size": 7, "views": task().settings.views}
    callback = adsa(tmp_path / "in", class_prior=list(COUNTS), **settings)
    trainer(callback, max_epochs=0).fit(fresh(), Data())
    relabel(task(), source(precision="32-true"), RelabelledFolder(tmp_path / "alone"))
    assert hashes(tmp_path / "out") == hashes(tmp_path / "alone")


def test_no_lightning_is_needed():
    for path in Path(lt_callbacks.relabel.__file__).parent.glob("*.py"):
        imported = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        }
        assert not any(str(name).startswith(("lightning", "pytorch_lightning", "hydra")) for name in imported), path
