from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import FLOATS, float_tensors, mistakes, mostly, odd_numbers, proportions, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.adsa import TauEstimator, TauFit, calibrate, fit_tau


@st.composite
def classes_with_images(draw):
    """Logits (V, B, C) that know their class somewhat, (B,) classes of which each has an image, and a prior."""
    num_classes, num_views = draw(st.integers(2, 6)), draw(st.integers(1, 2))
    per_class = draw(st.integers(1, 12))
    intended = torch.arange(num_classes).repeat_interleave(per_class)
    logits = draw(
        float_tensors((num_views, len(intended), num_classes), dtypes=(torch.float64,), scales=(0.1, 1.0, 5.0))
    )
    logits[:, torch.arange(len(intended)), intended] += draw(st.sampled_from([0.0, 2.0]))
    return logits, intended, draw(proportions(num_classes))


def check_fit(fit: TauFit, lowest: float = -1.0, highest: float = 4.0) -> None:
    assert lowest <= fit.unshrunk_tau <= highest or fit.reason is not None
    for values in (fit.taus, fit.spread, fit.class_confidence, fit.class_confidence_before, fit.class_prior):
        assert bool(values.isfinite().all())
    assert bool(((fit.class_confidence >= 0) & (fit.class_confidence <= 1)).all())
    assert abs(float(fit.class_prior.sum()) - 1) < 1e-9
    assert fit.identified == (fit.reason is None)
    if fit.interval is not None:
        assert lowest - 1e-9 <= fit.interval[0] <= fit.interval[1] <= highest + 1e-9


@given(problem=classes_with_images(), seed=seeds)
def test_a_fit_follows_permuted_classes_and_images_and_no_shift_of_the_logits(problem, seed):
    logits, intended, prior = problem
    fit = fit_tau(logits, intended, prior)
    check_fit(fit)
    generator = torch.Generator().manual_seed(seed)
    order, images = (torch.randperm(size, generator=generator) for size in (len(prior), len(intended)))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    shift = torch.randn(*logits.shape[:2], 1, generator=generator).double()
    other = fit_tau((logits + shift)[:, images][:, :, order], place[intended[images]], 1e-250 * prior[order])
    # A curve with two minima of equal depth may go to either.
    at = int((fit.taus - other.unshrunk_tau).abs().argmin())
    assert abs(other.unshrunk_tau - fit.unshrunk_tau) < 1e-4 or abs(float(fit.spread[at] - fit.spread.min())) < 1e-6
    torch.testing.assert_close(other.spread, fit.spread, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(other.class_confidence_before, fit.class_confidence_before[order])


@given(problem=classes_with_images(), cut=st.integers(0, 72))
def test_a_stream_of_batches_is_the_fit_of_all(problem, cut):
    logits, intended, prior = problem
    estimator = TauEstimator(prior)
    for part in (slice(0, cut), slice(cut, None)):
        estimator.update(logits[:, part], intended[part])
    torch.testing.assert_close(estimator.compute().spread, fit_tau(logits, intended, prior).spread)


@given(
    logits=float_tensors((5, 4)),
    prior=st.one_of(proportions(4), st.sampled_from([torch.tensor([1e-300, 1.0, 1e300, 1.0]).double()])),
    tau=st.floats(-5, 5),
    as_tensor=st.booleans(),
)
def test_calibrated_probabilities_sum_to_one_and_nothing_comes_of_tau_zero(logits, prior, tau, as_tensor):
    strength = torch.tensor(tau, dtype=torch.float64) if as_tensor else tau
    found = outcome(calibrate, logits, prior, strength)
    if found is REFUSED:
        # Only what float64 cannot hold.
        assert float(prior.min() / prior.max()) < 1e-300
        return
    torch.testing.assert_close(found.softmax(dim=1).sum(dim=1), torch.ones(5, dtype=found.dtype))
    wide = logits.double() if found.dtype == torch.float64 else logits.float()
    assert torch.equal(calibrate(logits, prior, 0.0), wide)
    torch.testing.assert_close(found.mean(dim=1), wide.mean(dim=1), rtol=1e-3, atol=1e-2)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        calibrate(logits[:, order], prior[order], strength), found[:, order], rtol=1e-4, atol=1e-4
    )
    back = calibrate(wide, prior, 1.0, target_prior=1e-100 * prior)
    torch.testing.assert_close(back, wide, rtol=1e-4, atol=1e-3)


@given(
    logits=mostly(float_tensors((3, 2))),
    prior=mostly(st.lists(odd_numbers, max_size=4)),
    tau=mostly(odd_numbers, st.floats().map(torch.tensor)),
    target=mostly(st.none(), st.lists(odd_numbers, max_size=3)),
)
def test_any_arguments_of_the_calibration_give_logits_or_a_name(logits, prior, tau, target):
    found = outcome(calibrate, logits, prior, tau, target_prior=target)
    if found is not REFUSED and bool(logits.isfinite().all()):
        assert bool(found.isfinite().all())


@given(
    logits=mostly(float_tensors((4, 2), dtypes=FLOATS, specials=(float("nan"), float("inf")))),
    intended=mostly(st.lists(st.integers(-2, 3), min_size=4, max_size=4), st.just([0, 1, 0, 1])),
    prior=mostly(st.just([3, 1]), st.lists(odd_numbers, min_size=2, max_size=2)),
    settings=st.fixed_dictionaries(
        {},
        optional={
            "weight": mostly(st.lists(odd_numbers, min_size=4, max_size=4)),
            "shrink_to": mostly(st.floats(-1, 4)),
            "shrink_sd": mistakes,
            "lowest": mostly(st.floats(-200, 10)),
            "highest": mostly(st.floats(-10, 200)),
        },
    ),
)
def test_any_arguments_of_a_fit_give_a_fit_or_a_name(logits, intended, prior, settings):
    found = outcome(fit_tau, logits, intended, prior, **settings)
    if found is not REFUSED:
        check_fit(found, settings.get("lowest", -1.0), settings.get("highest", 4.0))


@given(prior=st.just([3, 1]), batch=st.tuples(mistakes, mistakes, mistakes, mistakes))
def test_any_batch_of_the_estimator_is_counted_or_named(prior, batch):
    estimator = TauEstimator(prior)
    outcome(estimator.update, *batch)
    estimator.update([[4.2, 0.0], [2.2, 2.0]], [0, 1])
    assert outcome(estimator.compute, also=("logits", "intended_class", "weight")) is not None
