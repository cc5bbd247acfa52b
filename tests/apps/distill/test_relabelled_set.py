from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from adsa_small import adsa, distilled_set, fresh, relabel
from PIL import Image
from tiny_run import tiny_distill_study

from lt_callbacks.apps.distill.relabelled_set import write_relabelled_set
from lt_callbacks.distilled_set import DistilledSet, SoftLabels
from lt_callbacks.distilled_set.facts_file import write_facts

SETTINGS = ("methods=[soft,adsa]", "noise=symmetric", "noise.ratio=0.2", "adsa.fit_on=plain")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a run, its study and its results."""
    folder = tmp_path_factory.mktemp("relabelled")
    study = tiny_distill_study(folder, *SETTINGS)
    results = [study.run(method) for method in study.config.methods]
    write_relabelled_set(folder / "run" / "distilled-adsa", study.stages)
    return folder / "run", study, results


@pytest.fixture
def copied(written, tmp_path):
    """The finished run and its store at another place."""
    shutil.copytree(written[0].parent, tmp_path, dirs_exist_ok=True)
    return tmp_path


def content_of(folder):
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*.*")}


def test_the_set_is_there_with_calibrated_labels(written):
    folder, study, results = written
    distilled = DistilledSet.load(folder / "distilled-adsa")
    assert distilled == study.stages.distilled
    assert distilled.provenance == study.stages.distilled.provenance
    labels = SoftLabels.open(folder / "distilled-adsa" / "soft_labels", distilled=distilled)
    assert (labels.views, labels.num_views, labels.missing_views(), labels.top_k) == (study.stages.views, 2, [], None)

    tau = results[1].extra["tau"]
    counts = np.bincount(study.datamodule.manifest.given_labels, minlength=10)
    offset = tau * (np.log(counts) - np.log(counts).mean())
    assert np.abs(offset).max() > 0.1
    everything = torch.arange(len(distilled))
    for view in range(2):
        expected = study.stages.labels.logits(everything, view).numpy().astype(np.float64) - offset
        np.testing.assert_allclose(labels.logits(everything, view).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_labels_say_how_they_were_calibrated(written):
    folder, study, results = written
    calibration = SoftLabels.open(folder / "distilled-adsa" / "soft_labels").calibration
    assert calibration["method"] == "adsa"
    # Students learn with the fitted tau, labels are written with six decimals of it.
    assert calibration["tau"] == round(results[1].extra["tau"], 6)
    assert calibration["networks"] == study.stages.network_keys
    counts = np.bincount(study.datamodule.manifest.given_labels, minlength=10)
    assert calibration["class_prior"] == pytest.approx((counts / counts.sum()).tolist())


def test_the_result_has_the_fit(written):
    folder, study, results = written
    found = json.loads((folder / "distilled-adsa" / "adsa.json").read_text())
    assert found["tau"] == round(results[1].extra["tau"], 6)
    assert (found["fit_on"], found["num_fit_views"], found["shrink_to"]) == ("plain", 1, None)
    assert (found["networks"], found["model_sha256"], found["target_prior"]) == (study.stages.network_keys, None, None)
    assert found["alarms"] == list(study.stages.calibration().alarms)
    assert len(found["recognised"]) == len(found["entropy"]) == 10
    assert found["distilled_sha256"] == study.stages.distilled.sha256
    assert found["class_names"] == list(study.source.class_names)
    assert found["interval"] == pytest.approx(results[1].extra["fit"]["interval"])
    assert not (folder / "distilled-adsa" / "adsa.unfinished.json").exists()
    assert str(folder.parent) not in json.dumps(found)
    for name in ("tau", "confidence", "images"):
        with Image.open(folder / "distilled-adsa" / f"{name}.png") as image:
            assert min(image.size) > 300


def test_the_result_has_the_entries_of_the_callbacks(written, tmp_path):
    distilled_set().save(tmp_path / "in")
    relabel(adsa(tmp_path / "in", num_views=1), fresh())
    by_callback = json.loads((tmp_path / "out" / "adsa.json").read_text())
    by_command = json.loads((written[0] / "distilled-adsa" / "adsa.json").read_text())
    assert by_command.keys() == by_callback.keys()
    assert by_command["format_version"] == by_callback["format_version"] == 2
    calibrations = [
        SoftLabels.open(folder / "soft_labels").calibration
        for folder in (tmp_path / "out", written[0] / "distilled-adsa")
    ]
    assert calibrations[0].keys() == calibrations[1].keys()


def test_alarms_are_warnings(written, copied):
    study = tiny_distill_study(copied, *SETTINGS)
    alarm = "Over-correction, say."
    study.stages._calibrations["plain"] = replace(study.stages.calibration(), alarms=(alarm,))
    with pytest.warns(UserWarning, match=f"^{alarm}"):
        write_relabelled_set(copied / "again", study.stages)
    assert json.loads((copied / "again" / "adsa.json").read_text())["alarms"] == [alarm]


def test_a_set_of_an_earlier_release_is_the_same(written, copied):
    # It had fewer entries, and more decimals.
    folder = copied / "run" / "distilled-adsa"
    tau = tiny_distill_study(copied, *SETTINGS).stages.calibration().fit.tau
    path = folder / "soft_labels" / "soft_labels.json"
    facts = json.loads(path.read_text())
    facts.pop("checksum")
    old = ("method", "class_prior", "networks")
    facts["calibration"] = {name: facts["calibration"][name] for name in old} | {"tau": tau}
    write_facts(path, facts)
    before = content_of(folder)
    write_relabelled_set(folder, tiny_distill_study(copied, *SETTINGS).stages)
    assert content_of(folder) == before


def test_the_same_set_again_changes_nothing(written, copied):
    before = content_of(copied / "run" / "distilled-adsa")
    study = tiny_distill_study(copied, *SETTINGS)
    write_relabelled_set(copied / "run" / "distilled-adsa", study.stages)
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
    message = rf"^`output` must be a new folder, or this run's own; got '{re.escape(str(folder))}', which holds {reason}Set hydra"
    with pytest.raises(ValueError, match=message):
        write_relabelled_set(folder, study.stages)
    assert content_of(folder) == before


def test_a_tau_that_differs_in_its_last_digits_is_the_same(copied):
    # As on other hardware, or with other threads.
    study = tiny_distill_study(copied, *SETTINGS)
    found = study.stages.calibration()
    other = replace(found.label_fit, tau=found.label_fit.tau + 1e-6)
    study.stages._calibrations["plain"] = replace(found, label_fit=other)
    before = content_of(copied / "run" / "distilled-adsa")
    write_relabelled_set(copied / "run" / "distilled-adsa", study.stages)
    assert content_of(copied / "run" / "distilled-adsa") == before


def test_a_set_whose_writing_was_killed_is_completed(written, copied):
    folder = copied / "run" / "distilled-adsa"
    (folder / "adsa.json").unlink()
    (folder / "adsa.unfinished.json").write_text(json.dumps({"format": "lt_callbacks.adsa", "format_version": 1}))
    (folder / "soft_labels" / "view-00001.safetensors").unlink()
    (folder / "soft_labels" / ".view-00001.safetensors.ab.tmp").write_bytes(b"half")
    write_relabelled_set(folder, tiny_distill_study(copied, *SETTINGS).stages)
    whole = written[0] / "distilled-adsa"
    for path in whole.rglob("*.*"):
        if path.suffix != ".png":
            assert (folder / path.relative_to(whole)).read_bytes() == path.read_bytes()
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == {
        path.relative_to(whole) for path in whole.rglob("*.*")
    }


def test_files_of_somebody_else_are_not_overwritten(copied):
    (copied / "mine").mkdir()
    (copied / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(
        ValueError, match=r"^`output` must be new or empty; got '.*mine', which holds \['thesis\.txt'\]"
    ):
        write_relabelled_set(copied / "mine", tiny_distill_study(copied, *SETTINGS).stages)
    assert [path.name for path in (copied / "mine").iterdir()] == ["thesis.txt"]
