import pytest
import torch
from adsa_curves import GRID, curves_of
from adsa_reference import class_means, exhaustive_tau, own_probs, problem, random_problem, spread


@pytest.mark.parametrize("weighted", [False, True])
def test_means_and_spread_are_those_of_a_plain_loop(weighted):
    logits, intended, prior = problem(0, uneven=True)
    weight = torch.linspace(0.1, 2.0, len(intended)) if weighted else None
    curves = curves_of(logits, intended, prior, weight)
    taus = torch.tensor([-1.0, -0.123, 0.0, 1.7, 4.0], dtype=torch.float64)
    expected = torch.stack([class_means(logits, intended, prior, tau, weight) for tau in taus.tolist()], dim=1)
    torch.testing.assert_close(curves.mean_at(taus), expected, rtol=0, atol=1e-6)
    spreads = [spread(logits, intended, prior, tau, weight) for tau in taus.tolist()]
    assert curves.spread(taus).tolist() == pytest.approx(spreads, abs=1e-6)
    assert curves.num_images.tolist() == torch.bincount(intended).tolist()
    torch.testing.assert_close(curves.confidence(1.7), expected[:, 3], rtol=0, atol=1e-6)


def test_variances_are_those_of_a_mean():
    logits, intended, prior = problem(1, images_per_class=9, uneven=True)
    curves = curves_of(logits, intended, prior)
    tau, step = 0.8, 1e-4
    at = curves.nodes.at(torch.tensor([tau], dtype=torch.float64))
    p = own_probs(logits, intended, prior, tau)
    slope = (own_probs(logits, intended, prior, tau + step) - own_probs(logits, intended, prior, tau - step)) / 2 / step
    for number in range(len(prior)):
        both = torch.stack([p[intended == number], slope[intended == number]])
        count = both.shape[1]
        expected = both.cov() / count if count > 1 else torch.zeros(2, 2)
        got = [float((part @ at)[number, 0]) for part in (curves.var_mean, curves.covariance, curves.var_slope)]
        wanted = [float(expected[0, 0]), float(expected[0, 1]), float(expected[1, 1])]
        assert got == pytest.approx(wanted, rel=2e-3, abs=1e-7)


def test_weights_enter_the_variance_squared():
    """One image of weight 2 is noisier than two images of weight 1."""
    logits, intended, prior = problem(2)
    twice = curves_of(logits.repeat(2, 1), intended.repeat(2), prior)
    heavy = curves_of(logits, intended, prior, torch.full((len(intended),), 2.0))
    once = curves_of(logits, intended, prior)
    torch.testing.assert_close(heavy.mean, twice.mean)
    torch.testing.assert_close(heavy.var_mean, once.var_mean)
    assert bool((heavy.var_mean > 1.5 * twice.var_mean).any())


def test_the_slope_of_the_spread_is_its_derivative():
    curves = curves_of(*problem(3))
    taus, step = torch.linspace(-0.9, 3.9, 23, dtype=torch.float64), 1e-5
    difference = (curves.spread(taus + step) ** 2 - curves.spread(taus - step) ** 2) / (2 * step)
    torch.testing.assert_close(curves.spread_slope(taus), difference, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_the_minimiser_is_that_of_an_exhaustive_search(seed):
    logits, intended, prior = random_problem(seed)
    expected = exhaustive_tau(logits, intended, prior)
    assert curves_of(logits, intended, prior).minimiser(GRID) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_minimiser_is_that_of_an_exhaustive_search_on_many_problems():
    for seed in range(12, 120):
        logits, intended, prior = random_problem(seed)
        expected = exhaustive_tau(logits, intended, prior)
        assert curves_of(logits, intended, prior).minimiser(GRID) == pytest.approx(expected, abs=1e-4), seed


def test_a_minimum_at_an_end_is_that_end():
    logits, intended, prior = problem(4)
    away = logits + 8 * prior.log()
    assert curves_of(away, intended, prior).minimiser(GRID) == 4.0
    assert curves_of(logits - 8 * prior.log(), intended, prior).minimiser(GRID) == -1.0
