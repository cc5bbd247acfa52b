import math

import numpy as np
import pytest
import torch

from lt_callbacks.adsa.inputs import centred_log_prior, normalised_prior


@pytest.mark.parametrize(
    "given", [[30, 10], (0.75, 0.25), np.array([30, 10]), torch.tensor([3e38, 1e38]), torch.tensor([3, 1]).half()]
)
def test_counts_and_frequencies_become_a_distribution(given):
    prior = normalised_prior(given)
    assert prior.dtype == torch.float64
    torch.testing.assert_close(prior, torch.tensor([0.75, 0.25], dtype=torch.float64), atol=1e-7, rtol=0)


def test_the_log_prior_has_mean_zero():
    got = centred_log_prior(normalised_prior([8, 4, 1]))
    expected = [math.log(8) - math.log(32) / 3, math.log(4) - math.log(32) / 3, -math.log(32) / 3]
    torch.testing.assert_close(got.tolist(), expected)


@pytest.mark.parametrize("num_classes", [2, 3, 7, 10, 1000])
def test_a_uniform_prior_is_exactly_zero(num_classes):
    assert torch.equal(centred_log_prior(normalised_prior([123] * num_classes)), torch.zeros(num_classes).double())


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("uniform", TypeError, r"`class_prior` must be \(C,\) counts or frequencies; got str. Pass the number"),
        (None, TypeError, "`class_prior` must be .* got NoneType"),
        ([[1, 2], [3, 4]], ValueError, r"`class_prior` must have shape \(C,\) with C >= 2; got \(2, 2\)"),
        ([1.0], ValueError, r"`class_prior` must have shape \(C,\) with C >= 2; got \(1,\)"),
        ([], ValueError, r"with C >= 2; got \(0,\)"),
        ([1, 0, 2, 0], ValueError, "`class_prior` must be finite and > 0; got 0.0 for class 1. A class without train"),
        ([1, -3], ValueError, "got -3.0 for class 1"),
        ([float("nan"), 1], ValueError, "got nan for class 0"),
        ([1, float("inf")], ValueError, "got inf for class 1"),
    ],
)
def test_what_is_no_prior_is_refused(given, error, text):
    with pytest.raises(error, match=text):
        normalised_prior(given)
