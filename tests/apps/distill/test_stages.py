from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distill_small import by_hand, logged_study, prior_by_hand
from tiny_run import tiny_distill_study

from lt_callbacks.adsa import fit_tau
from lt_callbacks.distilled_set import Views, ViewSettings
from lt_callbacks.relabel.fit import FITTED_ON


def test_labels_are_the_mean_of_the_networks_logits(finished):
    study, _, _ = finished
    views, everything = Views(study.stages.distilled, study.stages.views), torch.arange(len(study.stages.distilled))
    assert study.stages.labels.calibration is None
    for view in range(3):
        expected = by_hand(study, views.images(everything, view))
        assert torch.allclose(study.stages.labels.logits(everything, view).double(), expected, atol=5e-3)


def plain_observations(study):
    distilled = study.stages.distilled
    mean, std = (torch.tensor(values)[:, None, None] for values in (distilled.mean, distilled.std))
    return by_hand(study, (distilled.images.float() / 255 - mean) / std), distilled.intended_class, None


def crop_observations(study):
    seen = Views(study.stages.distilled, replace(study.stages.views, mix="none"))
    everything = torch.arange(len(study.stages.distilled))
    stacked = torch.stack([by_hand(study, seen.images(everything, view)) for view in range(3)])
    return stacked, study.stages.distilled.intended_class, None


def mixed_observations(study, settings=None):
    seen = Views(study.stages.distilled, settings or study.stages.views)
    everything, intended = torch.arange(len(study.stages.distilled)), study.stages.distilled.intended_class
    logits, classes, weights = [], [], []
    for view in range(3):
        mixing = seen.mixing(everything, view)
        found = by_hand(study, seen.images(everything, view))
        logits += [found, found]
        classes += [intended, intended[mixing.partner]]
        weights += [mixing.share, 1 - mixing.share]
    return torch.cat(logits), torch.cat(classes), torch.cat(weights)


def strong_observations(study):
    strong = ViewSettings(
        seed=study.stages.views.seed, flip=False, crop="resized", crop_area=(0.08, 1.0), mix="cutmix", mix_alpha=1.0,
        crop_padding=study.stages.views.crop_padding,
    )  # fmt: skip
    return mixed_observations(study, strong)


OBSERVATIONS = {
    "plain": plain_observations,
    "crops": crop_observations,
    "mixed": mixed_observations,
    "strong": strong_observations,
}


@pytest.mark.parametrize("fit_on", FITTED_ON)
def test_tau_is_fitted_to_the_mean_of_the_networks_logits_of_the_images(finished, fit_on):
    study, results, _ = finished
    logits, intended, weight = OBSERVATIONS[fit_on](study)
    expected = fit_tau(logits, intended, prior_by_hand(study), weight=weight)
    result = results[f"adsa_{fit_on}"]
    assert result.extra["tau"] == pytest.approx(expected.tau, abs=1e-4)
    facts = result.extra["fit"]
    assert (facts["fit_on"], facts["identified"], facts["reason"]) == (fit_on, expected.identified, expected.reason)
    assert facts["confidence_before"] == pytest.approx(expected.class_confidence_before.tolist(), abs=1e-4)
    assert facts["confidence_after"] == pytest.approx(expected.class_confidence.tolist(), abs=1e-4)
    assert facts["interval"] == pytest.approx(expected.interval, abs=1e-3)


def test_the_views_that_the_settings_name_are_those_of_the_adsa_row(finished, copied):
    _, results, _ = finished
    study, _ = logged_study(copied, "adsa.fit_on=plain")
    assert study.stages.calibration().fit.tau == results["adsa_plain"].extra["tau"]
    shrunk, _ = logged_study(copied, "adsa.fit_on=plain", "adsa.shrink_to=3")
    assert shrunk.stages.calibration().fit.unshrunk_tau == pytest.approx(study.stages.calibration().fit.tau)
    assert shrunk.stages.calibration().fit.tau > study.stages.calibration().fit.tau


def test_the_prior_is_that_of_the_labels_that_were_given(finished):
    study, _, _ = finished
    assert study.stages.class_prior.tolist() == prior_by_hand(study).tolist()
    assert study.stages.class_prior.tolist() != list(study.datamodule.true_class_counts)


def test_the_distilled_set_says_what_it_was_made_from(finished):
    study, _, _ = finished
    provenance = study.stages.distilled.provenance
    assert provenance["manifest_sha256"] == study.datamodule.manifest.sha256
    assert (provenance["method"], provenance["seed"], provenance["num_networks"]) == ("edc", 0, 2)
    assert provenance["settings"]["num_steps"] == 2
    assert study.stages.distilled.class_counts.tolist() == [2] * 10


def test_no_second_of_a_run_counts_twice(tmp_path):
    # Real images are drawn before there are networks to label them.
    study = tiny_distill_study(tmp_path)
    started = time.monotonic()
    study.stages.labels  # noqa: B018
    elapsed = time.monotonic() - started
    assert list(study.stages.seconds) == ["recover", "squeeze", "relabel"]
    assert 0 < study.stages.seconds["squeeze"] < sum(study.stages.seconds.values()) <= elapsed


def test_the_store_says_nothing_about_the_machine(finished):
    study, _, _ = finished
    store = Path(study.config.store)
    files = [path for path in store.rglob("*") if path.is_file()]
    assert len(files) >= 9
    for path in files:
        assert str(store.parent).encode() not in path.read_bytes(), path
