import math

import pytest
import torch
from adsa_curves import GRID, curves_of
from adsa_reference import gaussian_teacher, problem
from scipy.stats import t as student

from lt_callbacks.adsa.class_curves import corrected_minimiser, corrected_score
from lt_callbacks.adsa.interval import MIN_IMAGES, interval_from_classes, interval_from_images

TEACHERS = {
    "easy head": ([3.0, 2.6, 2.2, 1.8, 1.4, 1.0], 100.0, 1.0),
    "easy tail": ([1.0, 1.4, 1.8, 2.2, 2.6, 3.0], 100.0, 1.0),
    "overconfident": ([1.5, 2.8, 2.0, 1.2, 2.4, 1.8], 30.0, 2.0),
}


def from_images(curves):
    tau = curves.minimiser(GRID)
    return interval_from_images(curves, GRID, tau=tau, corrected_tau=corrected_minimiser(curves, GRID, tau=tau))


def coverage(name, images_per_class, num_draws):
    """Share of draws whose interval holds tau of 20,000 images a class, and the mean width."""
    separations, imbalance_factor, sharpness = TEACHERS[name]
    prior, draw = gaussian_teacher(separations, imbalance_factor=imbalance_factor, sharpness=sharpness)
    target = curves_of(*draw(20_000, torch.Generator().manual_seed(99)), prior).minimiser(GRID)
    generator = torch.Generator().manual_seed(images_per_class)
    found = torch.tensor([from_images(curves_of(*draw(images_per_class, generator), prior)) for _ in range(num_draws)])
    holds = (found[:, 0] <= target) & (target <= found[:, 1])
    return float(holds.double().mean()), float((found[:, 1] - found[:, 0]).mean())


def test_it_covers_the_population_and_is_no_wider_than_it_must_be():
    # 60 draws at 95 %: fewer than 52 hits has a probability of 1 %.
    share, width = coverage("easy head", 50, 60)
    assert share >= 52 / 60
    assert width < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("images_per_class", [MIN_IMAGES, 10, 50])
@pytest.mark.parametrize("name", TEACHERS)
def test_it_covers_the_population_of_every_teacher(name, images_per_class):
    share, _ = coverage(name, images_per_class, 200)
    assert share >= (0.9 if images_per_class == 50 else 0.86)


def test_its_ends_are_where_the_test_starts_to_reject():
    curves = curves_of(*problem(0, images_per_class=30))
    left, right = from_images(curves)
    score, sd, degrees = corrected_score(curves, torch.tensor([left, right], dtype=torch.float64))
    quantiles = [float(student.ppf(0.975, value)) for value in degrees]
    assert (score.abs() / sd).tolist() == pytest.approx(quantiles, rel=1e-3)
    inside = torch.linspace(left + 1e-3, right - 1e-3, 50, dtype=torch.float64)
    score, sd, _ = corrected_score(curves, inside)
    assert bool((score.abs() < min(quantiles) * sd).all())


def test_more_images_narrow_it_by_the_square_root():
    logits, intended, prior = problem(1, images_per_class=60)
    left, right = from_images(curves_of(logits, intended, prior))
    repeated = from_images(curves_of(logits.repeat(10_000 // 60, 1), intended.repeat(10_000 // 60), prior))
    assert right - left > 0.05
    assert (right - left) / (repeated[1] - repeated[0]) == pytest.approx(math.sqrt(10_000 // 60), rel=0.15)


def test_images_without_noise_leave_a_point():
    logits, _, prior = problem(2)
    centres = logits[:6]
    curves = curves_of(centres.repeat_interleave(8, dim=0), torch.arange(6).repeat_interleave(8), prior)
    left, right = from_images(curves)
    tau = curves.minimiser(GRID)
    assert left <= tau <= right
    assert right - left < 1e-5


def test_it_holds_the_minimiser_even_where_that_is_biased():
    prior, draw = gaussian_teacher(torch.linspace(3.0, 1.0, 60).tolist(), imbalance_factor=100.0)
    curves = curves_of(*draw(5, torch.Generator().manual_seed(1)), prior)
    tau = curves.minimiser(GRID)
    corrected = corrected_minimiser(curves, GRID, tau=tau)
    left, right = interval_from_images(curves, GRID, tau=tau, corrected_tau=corrected)
    assert left < corrected < tau <= right


def test_a_flat_curve_reaches_the_ends():
    generator = torch.Generator().manual_seed(0)
    logits = 30 * torch.randn(60, 3, generator=generator, dtype=torch.float64)
    curves = curves_of(logits, torch.arange(3).repeat(20), torch.tensor([0.4, 0.35, 0.25], dtype=torch.float64))
    assert from_images(curves) == (-1.0, 4.0)


def test_the_jackknife_leaves_one_class_out_at_a_time():
    logits, intended, prior = problem(3, num_classes=7, images_per_class=40, bias=1.5)
    curves = curves_of(logits, intended, prior)
    tau = curves.minimiser(GRID)
    taus, fine = [], torch.linspace(-1, 4, 50_001, dtype=torch.float64)
    mean = curves.mean_at(fine)
    for left_out in range(7):
        rest = torch.cat([mean[:left_out], mean[left_out + 1 :]])
        taus.append(float(fine[rest.var(dim=0, correction=0).argmin()]))
    centre = sum(taus) / 7
    sd = math.sqrt(6 / 7 * sum((value - centre) ** 2 for value in taus))
    half = float(student.ppf(0.975, 6)) * sd
    left, right = interval_from_classes(curves, GRID, tau=tau)
    assert (left, right) == pytest.approx((max(-1.0, tau - half), min(4.0, tau + half)), abs=2e-3)
    assert 0.1 < right - left < 5


def test_two_classes_leave_nothing_to_leave_out():
    curves = curves_of(*problem(4, num_classes=2))
    assert interval_from_classes(curves, GRID, tau=curves.minimiser(GRID)) is None
