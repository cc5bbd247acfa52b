import pytest
import torch
from adsa_reference import gaussian_teacher, problem, spread

from lt_callbacks.adsa import TauEstimator, fit_tau
from lt_callbacks.adsa.interval import MIN_IMAGES


def keep(logits, intended, number, count):
    """The problem with only ``count`` images of class ``number``."""
    dropped = (intended == number).nonzero()[count:, 0]
    rows = torch.ones(len(intended), dtype=torch.bool)
    rows[dropped] = False
    return logits[rows], intended[rows]


def test_enough_images_give_an_interval_from_images():
    logits, intended, prior = problem(0, images_per_class=40)
    fit = fit_tau(logits, intended, prior)
    assert (fit.identified, fit.reason, fit.interval_from, fit.is_at_edge) == (True, None, "images", False)
    assert fit.interval[0] < fit.tau < fit.interval[1]
    assert fit.interval[0] < fit.corrected_tau < fit.interval[1]
    assert fit.num_images.tolist() == [40] * 6
    torch.testing.assert_close(fit.class_prior, prior)


def test_one_class_with_fewer_images_makes_it_an_interval_from_classes():
    logits, intended, prior = problem(0, images_per_class=40)
    assert fit_tau(*keep(logits, intended, 2, MIN_IMAGES), prior).interval_from == "images"
    fit = fit_tau(*keep(logits, intended, 2, MIN_IMAGES - 1), prior)
    assert fit.interval_from == "classes"
    assert fit.corrected_tau is not None
    assert fit.identified


def test_a_class_of_one_image_leaves_tau_open():
    logits, intended, prior = problem(0, images_per_class=40)
    fit = fit_tau(*keep(logits, intended, 2, 1), prior)
    assert (fit.identified, fit.interval_from, fit.corrected_tau) == (False, "classes", None)
    assert fit.reason == "1 (2) of 6 classes have a single image, whose noise cannot be told"
    assert fit.interval is not None


def test_two_classes_of_few_images_have_no_interval():
    logits, intended, prior = problem(1, num_classes=2, images_per_class=3)
    fit = fit_tau(logits, intended, prior)
    assert (fit.interval, fit.interval_from, fit.identified) == (None, None, False)
    assert fit.reason.startswith("fewer than 5 images in a class, and too few classes")


def test_a_minimum_at_the_edge_says_so():
    logits, intended, prior = problem(0, images_per_class=40)
    fit = fit_tau(logits + 8 * prior.log(), intended, prior)
    assert (fit.tau, fit.is_at_edge, fit.identified) == (4.0, True, False)
    assert fit.reason.startswith("the classes differ least at an end of [-1, 4]")
    fit = fit_tau(logits, intended, prior, lowest=2.5)
    assert (fit.tau, fit.is_at_edge, fit.identified) == (2.5, True, False)


def test_a_curve_too_flat_for_its_noise_says_so():
    logits = 10 * torch.randn(80, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    fit = fit_tau(logits, torch.arange(4).repeat(20), [0.4, 0.35, 0.25, 0.2])
    assert not fit.identified
    assert not fit.is_at_edge
    assert -1 < fit.tau < 4
    assert fit.reason == "the curve is too flat: the interval reaches an end of [-1, 4]"


@pytest.mark.parametrize("ends", [(-1.0, 1.3), (0.6, 4.0)])
def test_an_interval_that_reaches_one_end_is_cut_there(ends):
    prior, draw = gaussian_teacher([2.0] * 5, imbalance_factor=100.0)
    logits, intended = draw(10, torch.Generator().manual_seed(3))
    whole = fit_tau(logits, intended, prior)
    assert whole.identified
    lowest, highest = ends
    fit = fit_tau(logits, intended, prior, lowest=lowest, highest=highest)
    assert fit.tau == pytest.approx(whole.tau, abs=1e-5)
    assert fit.interval == pytest.approx((max(whole.interval[0], lowest), min(whole.interval[1], highest)), abs=1e-4)
    assert fit.interval[0] == lowest or fit.interval[1] == highest
    assert not fit.identified


@pytest.mark.parametrize(("shrink_to", "expected"), [(None, 0.0), (1.0, 1.0)])
def test_labels_that_tau_cannot_change_keep_it_at_zero(shrink_to, expected):
    """One-hot predictions: every tau gives the same spread."""
    logits = 1e4 * torch.eye(3, dtype=torch.float64).repeat(10, 1)
    logits[0] = logits[1]
    fit = fit_tau(logits, torch.arange(3).repeat(10), [90, 9, 1], shrink_to=shrink_to)
    assert (fit.tau, fit.unshrunk_tau, fit.identified, fit.interval) == (expected, 0.0, False, None)
    assert fit.reason.startswith("the curve is flat")
    assert not fit.is_at_edge


def test_a_uniform_prior_changes_nothing():
    logits, intended, _ = problem(0)
    fit = fit_tau(logits, intended, [7] * 6, shrink_to=1.0)
    assert (fit.tau, fit.unshrunk_tau, fit.identified, fit.interval) == (0.0, 0.0, False, None)
    assert fit.reason.startswith("the class prior is uniform")
    assert torch.equal(fit.class_confidence, fit.class_confidence_before)
    assert float(fit.spread.max() - fit.spread.min()) < 1e-12


def test_shrinkage_weights_by_precision():
    logits, intended, prior = problem(0, images_per_class=10)
    free = fit_tau(logits, intended, prior)
    fit = fit_tau(logits, intended, prior, shrink_to=0.2, shrink_sd=0.1)
    own_precision = ((free.interval[1] - free.interval[0]) / 2 / 1.96) ** -2
    expected = (own_precision * free.tau + 0.1**-2 * 0.2) / (own_precision + 0.1**-2)
    assert fit.tau == pytest.approx(expected, rel=1e-9)
    assert (fit.unshrunk_tau, fit.interval) == (free.tau, free.interval)
    assert abs(fit.tau - free.tau) > 0.05
    # The confidence is that at the tau to use.
    direct = fit_tau(logits, intended, prior, lowest=fit.tau, highest=fit.tau + 1e-3)
    torch.testing.assert_close(fit.class_confidence.mean(), direct.class_confidence.mean(), rtol=1e-3, atol=0)


def test_little_or_much_shrinkage_end_at_one_or_the_other():
    logits, intended, prior = problem(0, images_per_class=10)
    free = fit_tau(logits, intended, prior).tau
    assert fit_tau(logits, intended, prior, shrink_to=0.2, shrink_sd=1e-6).tau == pytest.approx(0.2, abs=1e-6)
    assert fit_tau(logits, intended, prior, shrink_to=0.2, shrink_sd=1e6).tau == pytest.approx(free, abs=1e-6)


@pytest.mark.parametrize(("shrink_sd", "at"), [(1e-320, "prior"), (1e308, "estimate")])
def test_shrinkage_of_any_size_is_a_number(shrink_sd, at):
    """Its square would be no float."""
    logits, intended, prior = problem(0, images_per_class=10)
    plain = fit_tau(logits, intended, prior)
    found = fit_tau(logits, intended, prior, shrink_to=1.5, shrink_sd=shrink_sd)
    assert found.tau == pytest.approx(1.5 if at == "prior" else plain.tau)


def test_what_is_not_identified_is_the_strength_to_fall_back_to():
    logits, intended, prior = problem(0, images_per_class=40)
    few = keep(logits, intended, 2, 1)
    fit = fit_tau(*few, prior, shrink_to=1.0)
    assert (fit.tau, fit.identified) == (1.0, False)
    assert fit.unshrunk_tau == fit_tau(*few, prior).tau != 1.0


def test_a_grid_without_zero_knows_the_labels_as_they_are():
    logits, intended, prior = problem(0, images_per_class=40)
    fit = fit_tau(logits, intended, prior, lowest=0.4, highest=3.0)
    whole = fit_tau(logits, intended, prior)
    assert fit.tau == pytest.approx(whole.tau, abs=1e-5)
    torch.testing.assert_close(fit.class_confidence_before, whole.class_confidence_before, rtol=0, atol=1e-6)
    assert (float(fit.taus[0]), float(fit.taus[-1])) == (0.4, 3.0)
    expected = [spread(logits, intended, prior, tau) for tau in (0.4, 3.0)]
    assert fit.spread[[0, -1]].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_bayes_teacher_of_alike_classes_has_tau_one():
    prior, draw = gaussian_teacher([2.0] * 5, imbalance_factor=100.0)
    fit = fit_tau(*draw(4000, torch.Generator().manual_seed(0)), prior)
    assert fit.tau == pytest.approx(1.0, abs=0.03)
    assert fit.interval[0] < 1.0 < fit.interval[1]
    assert float(fit.class_confidence.std()) < 0.02 < float(fit.class_confidence_before.std())


@pytest.mark.parametrize(
    ("logits", "intended", "weight", "text"),
    [
        ([[1.0, 2.0], [float("nan"), 0.0]], [0, 1], None, "`logits` must be finite; got NaN .* for 1 images"),
        ([[1.0, 2.0], [0.0, 0.0]], [0, 2], None, "`intended_class` must lie in 0..1; got another value for 1 images"),
        ([[1.0, 2.0], [0.0, 0.0]], [0, 1], [1.0, -1.0], r"`weight` must be 0 or lie in .*; got another value for 1 im"),
        (
            [[1.0, 2.0], [0.0, 0.0]],
            [0, 0],
            None,
            r"`intended_class` must name every class; .* for 1 \(1\) of 2 classes",
        ),
        ([[1.0, 2.0], [0.0, 0.0]], [0, 1], [0.0, 1.0], r"no image of positive weight for 1 \(0\) of 2 classes"),
    ],
)
def test_sums_that_leave_something_out_are_refused(logits, intended, weight, text):
    estimator = TauEstimator([9, 1])
    estimator.update(torch.tensor(logits), torch.tensor(intended), None if weight is None else torch.tensor(weight))
    with pytest.raises(ValueError, match=text):
        estimator.compute()


def test_ten_of_many_empty_classes_are_named():
    logits = torch.zeros(1, 30)
    with pytest.raises(ValueError, match=r"for 29 \(0, 1, 2, 4, 5, 6, 7, 8, 9, 10, ...\) of 30 classes"):
        fit_tau(logits, [3], torch.arange(1, 31))
