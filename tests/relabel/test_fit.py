from __future__ import annotations

import pytest
import torch
from adsa_small import COUNTS, distilled_set, fresh, network_input

from lt_callbacks.adsa import TauEstimator
from lt_callbacks.distilled_set import DistilledSet, Views, ViewSettings
from lt_callbacks.relabel import network_source
from lt_callbacks.relabel.fit import FITTED_ON, add_observations, fit_of_images, plain_logits

CUTMIX = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")
NUM_VIEWS = 3


def fit(fit_on, views=CUTMIX, *, samples=None, batch_size=5):
    distilled, source = distilled_set(), network_source(fresh())
    samples = torch.arange(len(distilled)) if samples is None else samples
    estimator = TauEstimator(COUNTS)
    settings = {"fit_on": fit_on, "views": views, "num_views": NUM_VIEWS, "batch_size": batch_size}
    parts = samples.split(7) if len(samples) else [samples]
    for part in parts:
        plain = plain_logits(source, distilled, part, batch_size=batch_size)
        add_observations(estimator, source, distilled, part, plain=plain, **settings)
    return estimator.compute()


def confidence(observations):
    """Mean probability of a class over (class, weight, probability), in a plain loop; shares nothing with the package."""
    sums, weights = [0.0] * 4, [0.0] * 4
    for label, weight, probability in observations:
        sums[label] += weight * probability
        weights[label] += weight
    return [total / weight for total, weight in zip(sums, weights, strict=True)]


@torch.no_grad()
def probs(images):
    return fresh().eval()(images).double().softmax(1)


def test_plain_images_are_shown_as_they_are():
    distilled = distilled_set()
    found = probs(network_input(distilled.images))
    observations = [(label, 1.0, float(row[label])) for row, label in zip(found, distilled.intended_class.tolist())]  # noqa: B905
    fitted = fit("plain")
    assert fitted.class_confidence_before.tolist() == pytest.approx(confidence(observations), abs=1e-6)
    assert fitted.num_images.tolist() == [6] * 4


@pytest.mark.parametrize(
    ("fit_on", "views"), [("crops", CUTMIX), ("mixed", ViewSettings(crop="padded", crop_padding=1))]
)
def test_the_unmixed_views_of_an_image_are_one_observation(fit_on, views):
    distilled = distilled_set()
    crops = Views(distilled, ViewSettings(crop="padded", crop_padding=1))
    everything = torch.arange(len(distilled))
    mean = torch.stack([probs(crops.images(everything, view)) for view in range(NUM_VIEWS)]).mean(0)
    observations = [(label, 1.0, float(row[label])) for row, label in zip(mean, distilled.intended_class.tolist())]  # noqa: B905
    fitted = fit(fit_on, views)
    assert fitted.class_confidence_before.tolist() == pytest.approx(confidence(observations), abs=1e-6)
    assert fitted.num_images.tolist() == [6] * 4


@pytest.mark.parametrize("mix", ["cutmix", "mixup"])
def test_a_mixed_view_counts_for_both_classes_with_their_shares(mix):
    distilled = distilled_set()
    settings = ViewSettings(crop="padded", crop_padding=1, mix=mix)
    views = Views(distilled, settings)
    intended = distilled.intended_class.tolist()
    observations = []
    for view in range(NUM_VIEWS):
        for sample in range(len(distilled)):
            alone = torch.tensor([sample])
            mixing, row = views.mixing(alone, view), probs(views.images(alone, view))[0]
            own, partner, share = intended[sample], intended[int(mixing.partner)], float(mixing.share)
            observations += [(own, share, float(row[own])), (partner, 1 - share, float(row[partner]))]
    assert any(0 < weight < 1 for _, weight, _ in observations)
    fitted = fit("mixed", settings)
    assert fitted.class_confidence_before.tolist() == pytest.approx(confidence(observations), abs=1e-6)


def test_strong_views_are_resized_crops_under_cutmix_whatever_is_labelled():
    labelled = ViewSettings(seed=4, crop="none", flip=True, mix="mixup", mix_alpha=0.3)
    strong = ViewSettings(seed=4, crop="resized", crop_area=(0.08, 1.0), flip=True, mix="cutmix")
    assert fit("strong", labelled).class_confidence_before.equal(fit("mixed", strong).class_confidence_before)
    assert not fit("mixed", labelled).class_confidence_before.equal(fit("mixed", strong).class_confidence_before)


@pytest.mark.parametrize("fit_on", FITTED_ON)
def test_the_batch_size_changes_nothing(fit_on):
    assert fit(fit_on, batch_size=24).tau == pytest.approx(fit(fit_on, batch_size=1).tau, abs=1e-5)


def test_a_rank_without_a_sample_adds_nothing():
    nothing = torch.arange(0)
    source, distilled = network_source(fresh()), distilled_set()
    plain = plain_logits(source, distilled, nothing, batch_size=4)
    assert plain.shape == (0, 4)
    for fit_on in FITTED_ON:
        estimator = TauEstimator(COUNTS)
        add_observations(
            estimator, source, distilled, nothing, fit_on=fit_on, plain=plain, views=CUTMIX, num_views=2, batch_size=4
        )
        assert not any(state.any() for state in estimator.metric_state.values())


@pytest.mark.parametrize("fit_on", FITTED_ON)
@pytest.mark.parametrize("num_images", [1, 6])
def test_views_do_not_make_several_images_of_one(fit_on, num_images):
    whole, source = distilled_set(), network_source(fresh())
    # One class keeps that many images, the others all of theirs.
    place = torch.cumsum(whole.intended_class == 2, 0)
    kept = (whole.intended_class != 2) | (place <= num_images)
    distilled = DistilledSet(
        images=whole.images[kept],
        intended_class=whole.intended_class[kept],
        class_names=whole.class_names,
        mean=whole.mean,
        std=whole.std,
        provenance={},
    )
    estimator, samples = TauEstimator(COUNTS), torch.arange(len(distilled))
    plain = plain_logits(source, distilled, samples, batch_size=8)
    settings = {"views": CUTMIX, "num_views": 8, "batch_size": 8}
    add_observations(estimator, source, distilled, samples, fit_on=fit_on, plain=plain, **settings)
    fitted = fit_of_images(estimator, distilled)
    assert fitted.tau == estimator.compute().tau
    if num_images == 1:
        assert not fitted.identified
        assert "of 4 classes have a single image" in fitted.reason
    else:
        assert fitted.identified == estimator.compute().identified
