import pytest
import torch
from adsa_curves import GRID, curves_of
from adsa_reference import gaussian_teacher, own_probs, problem

from lt_callbacks.adsa.class_curves import corrected_minimiser, corrected_score

TAUS = torch.tensor([0.0, 0.7, 1.2, 2.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def population_and_draws():
    """A teacher's curves on 20,000 images a class, and on 300 draws of 4."""
    prior, draw = gaussian_teacher(torch.linspace(3.0, 1.0, 12).tolist(), imbalance_factor=50.0)
    generator = torch.Generator().manual_seed(0)
    population = curves_of(*draw(20_000, generator), prior)
    return population, [curves_of(*draw(4, generator), prior) for _ in range(300)]


def test_the_score_has_the_expectation_of_infinitely_many_images(population_and_draws):
    population, draws = population_and_draws
    exact = population.spread_slope(TAUS)
    corrected = torch.stack([corrected_score(curves, TAUS)[0] for curves in draws])
    raw = torch.stack([curves.spread_slope(TAUS) for curves in draws])
    standard_error = corrected.std(dim=0) / len(draws) ** 0.5
    assert bool(((corrected.mean(dim=0) - exact).abs() < 3.5 * standard_error).all())
    # Without the correction the same comparison fails.
    assert bool(((raw.mean(dim=0) - exact).abs() > 3.5 * standard_error).any())


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_the_score_is_the_derivative_of_the_unbiased_variance_over_classes(num_classes):
    """E m^2 = mu^2 + var, for the class means and for their mean alike."""
    logits, intended, prior = problem(0, num_classes=num_classes, images_per_class=4)

    def unbiased_variance(tau):
        probs = own_probs(logits, intended, prior, tau)
        groups = [probs[intended == number] for number in range(num_classes)]
        noise = [float(group.var()) / len(group) for group in groups]
        means = [float(group.mean()) for group in groups]
        squares = sum(m * m - n for m, n in zip(means, noise, strict=True)) / num_classes
        return squares - (sum(means) ** 2 - sum(noise)) / num_classes**2

    step = 1e-4
    expected = [(unbiased_variance(t + step) - unbiased_variance(t - step)) / (2 * step) for t in TAUS.tolist()]
    got = corrected_score(curves_of(logits, intended, prior), TAUS)[0]
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_standard_deviation_and_degrees_of_freedom_follow_from_each_images_influence():
    logits, intended, prior = problem(1, num_classes=5, images_per_class=12)
    kept = (intended != 2) | (torch.arange(len(intended)) < 15)
    logits, intended = logits[kept], intended[kept]
    tau, step = 0.9, 1e-4
    p = own_probs(logits, intended, prior, tau)
    slope = (own_probs(logits, intended, prior, tau + step) - own_probs(logits, intended, prior, tau - step)) / 2 / step
    rows = [intended == number for number in range(5)]
    means = [float(p[row].mean()) for row in rows]
    slopes = [float(slope[row].mean()) for row in rows]
    variances, counts = [], []
    for row, m, s in zip(rows, means, slopes, strict=True):
        influence = (p[row] - m) * (s - sum(slopes) / 5) + (m - sum(means) / 5) * (slope[row] - s)
        counts.append(int(row.sum()))
        variances.append((2 / 5) ** 2 * float(influence.var()) / counts[-1])
    degrees = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    got = corrected_score(curves_of(logits, intended, prior), torch.tensor([tau], dtype=torch.float64))
    assert 1 < min(counts) < 12
    assert float(got[1]) == pytest.approx(sum(variances) ** 0.5, rel=1e-4)
    assert float(got[2]) == pytest.approx(degrees, rel=1e-3)


def test_its_standard_deviation_is_the_one_over_draws(population_and_draws):
    _, draws = population_and_draws
    score, sd, _ = zip(*(corrected_score(curves, TAUS) for curves in draws), strict=True)
    ratio = torch.stack(sd).square().mean(dim=0).sqrt() / torch.stack(score).std(dim=0)
    assert bool((ratio > 0.8).all())
    assert bool((ratio < 1.2).all())


def test_the_minimiser_is_a_root_of_the_score_downhill(population_and_draws):
    for curves in population_and_draws[1][:40]:
        tau = curves.minimiser(GRID)
        found = corrected_minimiser(curves, GRID, tau=tau)
        before, at, after, start = corrected_score(
            curves, torch.tensor([found - 1e-4, found, found + 1e-4, tau], dtype=torch.float64)
        )[0]
        if -1 < found < 4:
            assert before < 0 < after
            assert abs(at) < 1e-11
        assert (found - tau) * start <= 0


def test_many_classes_of_few_images_bias_the_raw_minimiser_only():
    separations = torch.linspace(3.0, 1.0, 60).tolist()
    prior, draw = gaussian_teacher(separations, imbalance_factor=100.0)
    generator = torch.Generator().manual_seed(1)
    target = curves_of(*draw(2_000, generator), prior)
    target = corrected_minimiser(target, GRID, tau=target.minimiser(GRID))
    draws = [curves_of(*draw(5, generator), prior) for _ in range(12)]
    raw = torch.tensor([curves.minimiser(GRID) for curves in draws])
    corrected = torch.tensor([corrected_minimiser(c, GRID, tau=float(t)) for c, t in zip(draws, raw, strict=True)])
    assert float(raw.mean()) - target > 0.3
    assert abs(float(corrected.mean()) - target) < 0.12
