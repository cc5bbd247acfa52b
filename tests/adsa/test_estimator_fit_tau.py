import json

import numpy as np
import pytest
import torch
from adsa_reference import class_means, exhaustive_tau, problem, random_problem, spread

from lt_callbacks.adsa import TauFit, calibrate, fit_tau


@pytest.mark.parametrize("seed", range(200, 208))
def test_equals_an_exhaustive_search(seed):
    logits, intended, prior = random_problem(seed)
    fit = fit_tau(logits, intended, prior)
    assert fit.tau == fit.unshrunk_tau == pytest.approx(exhaustive_tau(logits, intended, prior), abs=1e-4)
    position = int(fit.spread.argmin())
    expected = spread(logits, intended, prior, float(fit.taus[position]))
    assert float(fit.spread[position]) == pytest.approx(expected, abs=1e-6)
    means = class_means(logits, intended, prior, fit.tau)
    torch.testing.assert_close(fit.class_confidence, means, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        fit.class_confidence_before, class_means(logits, intended, prior, 0.0), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_views_are_averaged_before_the_classes_are(weighted):
    logits, intended, prior = problem(0, images_per_class=5, uneven=True)
    views = logits + torch.randn(4, *logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.rand(len(intended), generator=torch.Generator().manual_seed(1)) if weighted else None
    fit = fit_tau(views, intended, prior, weight=weight)
    assert fit.tau == pytest.approx(exhaustive_tau(views, intended, prior, weight=weight), abs=1e-4)
    assert fit.num_images.tolist() == torch.bincount(intended).tolist()


@pytest.mark.parametrize("shift", [-0.7, 0.4, 1.3])
def test_logits_moved_along_the_prior_move_tau_as_far(shift):
    logits, intended, prior = problem(1)
    before = fit_tau(logits, intended, prior).tau
    assert fit_tau(logits + shift * prior.log(), intended, prior).tau == pytest.approx(before + shift, abs=1e-4)


def test_calibrated_logits_need_no_more():
    logits, intended, prior = problem(2)
    tau = fit_tau(logits, intended, prior).tau
    assert abs(tau) > 0.1
    assert fit_tau(calibrate(logits, prior, tau), intended, prior).tau == pytest.approx(0.0, abs=1e-4)


def test_the_order_of_classes_does_not_matter():
    logits, intended, prior = problem(3, uneven=True)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    renamed = order.argsort()[intended]
    fit, other = fit_tau(logits, intended, prior), fit_tau(logits[:, order], renamed, prior[order])
    assert other.tau == pytest.approx(fit.tau, abs=1e-9)
    torch.testing.assert_close(other.class_confidence, fit.class_confidence[order])
    assert other.interval == pytest.approx(fit.interval, abs=1e-6)


def test_the_order_of_images_does_not_matter():
    logits, intended, prior = problem(4)
    order = torch.randperm(len(intended), generator=torch.Generator().manual_seed(0))
    expected = fit_tau(logits, intended, prior).tau
    assert fit_tau(logits[order], intended[order], prior).tau == pytest.approx(expected, abs=1e-9)


def test_a_constant_added_to_a_row_changes_nothing():
    logits, intended, prior = problem(5)
    moved = logits + torch.linspace(-300, 300, len(logits), dtype=torch.float64)[:, None]
    assert fit_tau(moved, intended, prior).tau == pytest.approx(fit_tau(logits, intended, prior).tau, abs=1e-9)


def test_the_unit_of_the_prior_does_not_matter():
    logits, intended, prior = problem(6)
    expected = fit_tau(logits, intended, prior).tau
    assert fit_tau(logits, intended, 12_345 * prior).tau == pytest.approx(expected, abs=1e-9)


def test_a_weight_of_two_is_the_image_given_twice():
    logits, intended, prior = problem(7)
    weight = 1 + (torch.arange(len(intended)) % 3 == 0).double()
    rows = torch.arange(len(intended)).repeat_interleave(weight.long())
    expected = fit_tau(logits[rows], intended[rows], prior).tau
    assert fit_tau(logits, intended, prior, weight=weight).tau == pytest.approx(expected, abs=1e-9)
    assert abs(expected - fit_tau(logits, intended, prior).tau) > 1e-3


def test_an_image_of_weight_zero_does_not_count():
    logits, intended, prior = problem(8)
    weight = torch.ones(len(intended))
    weight[::4] = 0
    fit = fit_tau(logits, intended, prior, weight=weight)
    kept = fit_tau(logits[weight > 0], intended[weight > 0], prior)
    assert fit.tau == pytest.approx(kept.tau, abs=1e-9)
    assert torch.equal(fit.num_images, kept.num_images)
    assert fit.interval == pytest.approx(kept.interval, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_worth_its_rounding_only(dtype):
    logits, intended, prior = problem(9, images_per_class=50)
    narrow = logits.to(dtype)
    assert fit_tau(narrow, intended, prior).tau == pytest.approx(
        fit_tau(narrow.double(), intended, prior).tau, abs=1e-9
    )


@pytest.mark.parametrize("scale", [1e3, 1e4])
def test_extreme_logits_give_finite_results(scale):
    logits, intended, prior = problem(10, scale=scale)
    fit = fit_tau(logits.float(), intended, prior)
    assert bool(fit.spread.isfinite().all())
    assert -1 <= fit.tau <= 4
    exact = [spread(logits.float(), intended, prior, tau) for tau in (-1.0, 0.0, 4.0)]
    assert fit.spread[[0, 100, 500]].tolist() == pytest.approx(exact, abs=1e-5)


def test_lists_and_arrays_are_taken_too():
    logits, intended, prior = problem(11)
    expected = fit_tau(logits, intended, prior)
    got = fit_tau(logits.numpy(), intended.tolist(), prior.tolist(), weight=np.ones(len(intended)))
    assert got.tau == expected.tau
    assert got.interval == expected.interval


def test_autocast_does_not_reach_it():
    logits, intended, prior = problem(12)
    expected = fit_tau(logits, intended, prior).tau
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert fit_tau(logits, intended, prior).tau == expected


def test_nothing_is_changed_and_no_graph_is_kept():
    logits, intended, prior = problem(13)
    before = logits.clone()
    fit = fit_tau(logits.requires_grad_(), intended, prior)
    assert torch.equal(logits, before)
    assert not fit.spread.requires_grad


def test_the_fit_is_data_on_the_cpu():
    fit = fit_tau(*problem(14))
    assert isinstance(fit, TauFit)
    assert fit.taus.shape == fit.spread.shape == (501,)
    for tensor in (fit.taus, fit.spread, fit.class_confidence, fit.class_confidence_before, fit.class_prior):
        assert tensor.dtype == torch.float64
        assert tensor.device.type == "cpu"
    with pytest.raises(AttributeError):
        fit.tau = 1.0


def test_its_dictionary_survives_json():
    fit = fit_tau(*problem(15))
    content = fit.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content.keys() == set(TauFit.__dataclass_fields__)
    assert content["tau"] == fit.tau
    assert content["interval"] == list(fit.interval)
    assert content["spread"] == fit.spread.tolist()
    uniform = fit_tau(torch.eye(3), [0, 1, 2], [1, 1, 1]).to_dict()
    assert uniform["interval"] is None
    assert json.loads(json.dumps(uniform)) == uniform


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"intended_class": [0, 1, 3]}, ValueError, "`intended_class` must lie in 0..2; got 3 for image 2"),
        ({"intended_class": [0, -1, 2]}, ValueError, "`intended_class` must lie in 0..2; got -1 for image 1"),
        ({"intended_class": [0.0, 1.0, 2.0]}, TypeError, "`intended_class` must be integers; got torch.float32"),
        ({"intended_class": [0, 1]}, ValueError, r"`intended_class` must have shape \(3,\)"),
        ({"intended_class": [0, 1, 1]}, ValueError, r"`intended_class` must name every class; .* for 1 \(2\) of 3"),
        ({"class_prior": [1, 0, 2]}, ValueError, "`class_prior` must be finite and > 0; got 0.0 for class 1"),
        ({"class_prior": [1, -1, 2]}, ValueError, "got -1.0 for class 1"),
        ({"class_prior": [1, 2, float("nan")]}, ValueError, "got nan for class 2"),
        (
            {"class_prior": [1, 2]},
            ValueError,
            r"`logits` must have shape \(B, 2\) or \(V, B, 2\) as `class_prior` has 2",
        ),
        ({"class_prior": [1, 1e-30, 1]}, ValueError, "`class_prior` must not be so uneven"),
        ({"logits": [[0.0, 0, 0], [0, float("inf"), 0], [0, 0, 0]]}, ValueError, "`logits` must be finite; .* image 1"),
        ({"weight": [1.0, 1.0]}, ValueError, r"`weight` must have shape \(3,\)"),
        (
            {"weight": [1.0, 1.0, -2.0]},
            ValueError,
            r"`weight` must be 0 or lie in \[1e-15, 1e\+15\]; got -2.0 for image 2",
        ),
        ({"lowest": 2.0, "highest": 1.0}, ValueError, "`highest` must be a finite number > 2 and <= 100; got 1.0"),
        ({"shrink_sd": -1.0}, ValueError, "`shrink_sd` must be a finite number > 0; got -1.0"),
        ({"shrink_to": 9.0}, ValueError, "`shrink_to` must be a finite number >= -1 and <= 4; got 9.0"),
    ],
)
def test_bad_input(arguments, error, text):
    given = {"logits": torch.eye(3), "intended_class": [0, 1, 2], "class_prior": [6, 3, 1], **arguments}
    with pytest.raises(error, match=text):
        fit_tau(**given)
