from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from lt_callbacks.evaluation import mean, paired_difference, sd


def test_mean_and_sd_equal_numpy():
    values = np.random.default_rng(0).normal(70, 3, 11)
    assert mean(values) == pytest.approx(np.mean(values), abs=1e-12)
    assert sd(values) == pytest.approx(np.std(values, ddof=1), abs=1e-12)


def test_sd_of_known_numbers_divides_by_n_minus_one():
    assert sd([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx((32 / 7) ** 0.5)


def test_a_single_value_has_no_sd_and_a_single_pair_no_interval():
    assert mean([3.5]) == 3.5
    assert sd([3.5]) is None
    difference = paired_difference({0: 5.0}, {0: 3.0})
    assert (difference.mean, difference.sd, difference.interval, difference.num_pairs) == (2.0, None, None, 1)
    assert not difference.is_above_zero
    assert not difference.is_below_zero


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_interval_is_that_of_the_paired_t_test(confidence):
    generator = np.random.default_rng(1)
    reference = generator.normal(60, 5, 7)
    values = reference + generator.normal(2, 1, 7)
    difference = paired_difference(
        dict(enumerate(values)), dict(reversed(list(enumerate(reference)))), confidence=confidence
    )
    expected = stats.ttest_rel(values, reference).confidence_interval(confidence)
    assert difference.interval == pytest.approx((expected.low, expected.high), abs=1e-10)
    assert difference.mean == pytest.approx(np.mean(values - reference), abs=1e-12)
    assert difference.sd == pytest.approx(np.std(values - reference, ddof=1), abs=1e-12)
    assert (difference.num_pairs, difference.confidence) == (7, confidence)


def test_pairing_cancels_what_seeds_share():
    shared = {seed: 10.0 * seed for seed in range(5)}
    better = {seed: value + 1 + 0.01 * (-1) ** seed for seed, value in shared.items()}
    assert paired_difference(better, shared).is_above_zero
    assert paired_difference(shared, better).is_below_zero


def test_only_common_seeds_count():
    difference = paired_difference({0: 1.0, 1: 3.0, 7: 100.0}, {1: 1.0, 0: 0.0, 9: -50.0})
    assert (difference.mean, difference.num_pairs) == (1.5, 2)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=re.escape("`values` must hold at least one number; got none.")):
        mean([])
    with pytest.raises(ValueError, match=re.escape("`values` must be finite; got nan at position 1. Find out why")):
        sd([1.0, float("nan")])
    with pytest.raises(
        ValueError, match=re.escape("share at least one seed with `reference`, which has [1]; got [0]. Run both")
    ):
        paired_difference({0: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match=re.escape("`reference` must be finite; got inf at position 0.")):
        paired_difference({0: 1.0}, {0: float("inf")})
    with pytest.raises(ValueError, match=re.escape("`confidence` must be a finite number > 0 and < 1; got 95")):
        paired_difference({0: 1.0}, {0: 1.0}, confidence=95)


@pytest.mark.parametrize("given", [{0: 71.5}, "12", b"12", ["71"], None, 3.0, [None], [[1.0]], object()])
def test_what_is_no_numbers_is_refused_by_name(given):
    """A mapping of seeds would give the mean of its seeds, a text that of its digits."""
    for function in (mean, sd):
        with pytest.raises(TypeError, match=r"^`values` must be numbers, one after the other; got \w+\."):
            function(given)


@pytest.mark.parametrize("given", [[1.0, 2.0], None, "seed"])
def test_values_without_their_seeds_are_refused_by_name(given):
    with pytest.raises(TypeError, match=r"^`values` must map seeds to numbers; got \w+\. Pass \{0: 71\.5"):
        paired_difference(given, {0: 1.0})
    with pytest.raises(TypeError, match="^`reference` must map seeds to numbers"):
        paired_difference({0: 1.0}, given)


def test_numbers_at_the_end_of_the_floats_have_a_mean_too():
    assert mean([1.7e308, 1.7e308, 1.7e308]) == pytest.approx(1.7e308)
    assert sd([1e150, -1e150]) == pytest.approx(2**0.5 * 1e150)
    with pytest.raises(
        ValueError, match=r"^`values` must be close enough .*; got -1e\+300 to 1e\+300. Give them in a larger"
    ):
        sd([1e300, -1e300])
