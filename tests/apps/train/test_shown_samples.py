from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.train.shown_samples import FILE, _instructive, _pixels, keep_shown_samples, shown_samples


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """With a student, what it says of some samples kept."""
    study = tiny_study(tmp_path_factory.mktemp("shown"), "methods=[dsink]", "trainer.max_epochs=1")
    study.run("dsink")
    keep_shown_samples(study, "dsink")
    return study


def moved(study, folder, **changes):
    """The study as a later run has it, which has trained nothing; its files in another folder."""
    shutil.copytree(study.config.output, folder)
    return again(study, output=str(folder), **changes)


def again(study, **changes):
    return type(study)(replace(study.config, **changes), study.source, study.seed, study.progress)


def test_a_later_run_shows_what_the_earlier_one_did(study, tmp_path):
    first, later = shown_samples(study), shown_samples(moved(study, tmp_path / "run"))
    assert first.keys() == later.keys() >= {"images", "given_label", "student_probs", "proxy_labels", "sample_names"}
    for name in first.keys() - {"sample_names"}:
        np.testing.assert_array_equal(first[name], later[name])
    assert first["sample_names"] == later["sample_names"]
    assert all(name.startswith("no. ") for name in first["sample_names"])


def test_a_run_that_goes_on_in_another_folder_takes_them_along(study, tmp_path):
    earlier = moved(study, tmp_path / "earlier").config.output
    new = {"output": str(tmp_path / "new"), "results": f"{earlier}/metrics.json"}
    assert shown_samples(again(study, **new))["sample_names"] == shown_samples(study)["sample_names"]
    shutil.rmtree(earlier)
    assert shown_samples(again(study, **new)) is not None


def test_samples_of_other_settings_are_not_shown(study, tmp_path):
    other = replace(study.config.dsink, alpha=3.0)
    assert shown_samples(moved(study, tmp_path / "run", dsink=other)) is None


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: b"", lambda content: b"{}" * 99])
def test_damaged_samples_cost_the_picture_and_not_the_page(study, tmp_path, damage):
    later = moved(study, tmp_path / "run")
    file = Path(later.config.output) / FILE
    file.write_bytes(damage(file.read_bytes()))
    assert shown_samples(later) is None


def test_only_the_first_seed_is_shown_and_only_where_a_student_is(study, tmp_path):
    for other, method in ((again(study, output=str(tmp_path)), "dsink"), (study, "ce")):
        other_place = replace(other.config, output=str(tmp_path))
        other.config, before = other_place, other.config
        keep_shown_samples(other, method)
        other.config = before
    second = type(study)(replace(study.config, output=str(tmp_path)), study.source, 1, study.progress)
    second.student = study.student
    keep_shown_samples(second, "dsink")
    assert not list(tmp_path.iterdir())


def test_the_picture_shows_what_each_model_says_of_the_samples(study):
    samples = shown_samples(study)
    source, manifest = study.source, study.datamodule.manifest
    stored = {image.numpy().tobytes(): position for position, image in enumerate(source.train.images)}
    positions = [stored[np.rint(255 * image).astype(np.uint8).tobytes()] for image in samples["images"]]
    assert source.train.labels[positions].tolist() == samples["true_label"].tolist()
    assert (
        manifest.given_labels[np.searchsorted(manifest.indices, positions)].tolist() == samples["given_label"].tolist()
    )

    mean, std = (torch.tensor(values)[:, None, None] for values in (source.mean, source.std))
    seen = (source.train.images[positions] / 255 - mean) / std
    noise, imbalance = (teacher.log_probs(seen).exp() for teacher in study.teachers.live())
    with torch.no_grad():
        student = study.student.eval()(seen).softmax(dim=1)
    for name, expected in (("noise_probs", noise), ("imbalance_probs", imbalance), ("student_probs", student)):
        np.testing.assert_allclose(samples[name], expected.numpy(), atol=1e-5)
    # Rows are labels, and those of the kernel student * f_N but for the factor of each class and row.
    proxy = samples["proxy_labels"]
    np.testing.assert_allclose(proxy.sum(axis=1), 1, atol=1e-5)
    scaling = np.log(proxy) - 0.5 * np.log(samples["student_probs"]) - 0.5 * np.log(samples["noise_probs"])
    scaling -= scaling.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(scaling, scaling[:1].repeat(len(scaling), axis=0), atol=1e-3)


def shown(given, true, counts):
    return _instructive(torch.tensor(given), torch.tensor(true), torch.tensor(counts)).tolist()


def test_the_picture_shows_wrong_labels_of_rare_classes_first():
    # Classes 0, 1, 2 have 100, 10 and 1 samples; ten wrong labels, one of them in class 2.
    true = [0] * 10 + [1] * 5 + [2] + [0, 1]
    given = [1] * 5 + [0] * 5 + [0] * 4 + [1] + [0] + [0, 1]
    positions = shown(given, true, [100, 10, 1])
    is_wrong = [given[position] != true[position] for position in positions]
    assert is_wrong == [True] * 6 + [False] * 2
    assert len(set(positions)) == 8
    # From tail to head.
    assert positions[0] == 15
    classes = [true[position] for position in positions[:6]]
    assert classes == sorted(classes, reverse=True)
    assert set(classes) == {0, 1, 2}


@pytest.mark.parametrize("num_wrong", range(12))
def test_the_picture_shows_each_sample_once(num_wrong):
    true = [0] * 12
    given = [1] * num_wrong + [0] * (12 - num_wrong)
    positions = shown(given, true, [12, 1])
    assert len(positions) == len(set(positions)) == 8
    assert sum(given[position] == 1 for position in positions) == min(num_wrong, 6 if num_wrong <= 10 else 7)


@pytest.mark.parametrize(("given", "expected"), [([0], 1), ([1], 1), ([0, 1], 2), ([1] * 9, 8)])
def test_the_picture_makes_do_with_what_a_small_batch_has(given, expected):
    assert len(set(shown(given, [0] * len(given), [9, 1]))) == expected


def test_pixels_are_what_the_source_holds(study):
    images, _, index = next(iter(study.datamodule.predict_dataloader()))
    stored = study.source.train.images[study.datamodule.manifest.indices[index]]
    np.testing.assert_allclose(_pixels(images, study), stored.numpy() / 255, atol=1e-6)
