import math

import pytest
import torch
from no_host_reads import FakeCuda

from lt_callbacks.adsa import calibrate
from lt_callbacks.adsa.calibrate import _checked_tau

PRIOR = [60.0, 30.0, 10.0]


def by_hand(row, tau, prior, target=None):
    def centred(values):
        logs = [math.log(value / sum(values)) for value in values]
        return [log - sum(logs) / len(logs) for log in logs]

    shift = centred(target) if target else [0.0] * len(row)
    return [z - tau * a + b for z, a, b in zip(row, centred(prior), shift, strict=True)]


@pytest.mark.parametrize("target", [None, [1.0, 2.0, 7.0]])
@pytest.mark.parametrize("tau", [-1.0, 0.0, 1.0, 2.5])
def test_is_the_formula(tau, target):
    logits = torch.tensor([[0.5, -1.0, 3.0], [2.0, 2.0, -4.0]], dtype=torch.float64)
    got = calibrate(logits, PRIOR, tau, target_prior=target)
    expected = torch.tensor([by_hand(row, tau, PRIOR, target) for row in logits.tolist()], dtype=torch.float64)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_one_is_the_posterior_under_a_balanced_prior():
    likelihood = torch.tensor([[0.2, 0.5, 0.1], [0.9, 0.3, 0.3]], dtype=torch.float64)
    posterior = likelihood * torch.tensor(PRIOR)
    probs = calibrate(posterior.log(), PRIOR, 1.0).softmax(dim=1)
    torch.testing.assert_close(probs, likelihood / likelihood.sum(dim=1, keepdim=True))


def test_one_with_a_target_is_the_posterior_under_it():
    likelihood = torch.tensor([[0.2, 0.5, 0.1]], dtype=torch.float64)
    target = torch.tensor([0.1, 0.1, 0.8], dtype=torch.float64)
    probs = calibrate((likelihood * torch.tensor(PRIOR)).log(), PRIOR, 1.0, target_prior=target).softmax(dim=1)
    torch.testing.assert_close(probs, likelihood * target / (likelihood * target).sum())


@pytest.mark.parametrize("target", [None, [1.0, 2.0, 7.0]])
def test_the_mean_logit_stays(target):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = calibrate(logits, PRIOR, 1.7, target_prior=target)
    torch.testing.assert_close(got.mean(dim=1), logits.mean(dim=1))


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_any_leading_shape(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    got = calibrate(logits, PRIOR, 1.0)
    assert got.shape == shape
    torch.testing.assert_close(got - logits, calibrate(torch.zeros(3), PRIOR, 1.0).expand(shape), atol=1e-6, rtol=0)


def test_counts_and_frequencies_of_any_kind_are_one_prior():
    logits = torch.ones(1, 3)
    expected = calibrate(logits, PRIOR, 1.3)
    for prior in (torch.tensor([6, 3, 1]), torch.tensor([0.6, 0.3, 0.1]), (6e300, 3e300, 1e300)):
        torch.testing.assert_close(calibrate(logits, prior, 1.3), expected)


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_float32_or_better_comes_back(given, returned):
    got = calibrate(torch.tensor([[8.0, 4.0, -2.0]], dtype=given), PRIOR, torch.tensor(0.7, dtype=torch.float64))
    assert got.dtype == returned
    torch.testing.assert_close(got[0].tolist(), by_hand([8.0, 4.0, -2.0], 0.7, PRIOR), atol=1e-5, rtol=0)


def test_gradients_reach_logits_and_tau():
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    tau = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, t: calibrate(z, PRIOR, t).softmax(dim=1), (logits, tau))


def test_the_input_is_left_alone():
    logits = torch.zeros(2, 3, dtype=torch.float64)
    calibrate(logits, PRIOR, 1.0)
    assert torch.equal(logits, torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"logits": torch.zeros(2, 3).long()}, TypeError, "`logits` must be a floating tensor; got torch.int64"),
        ({"logits": [[0.0, 0.0, 0.0]]}, TypeError, "`logits` must be a floating tensor; got list"),
        ({"logits": torch.zeros(3, 2)}, ValueError, r"`class_prior` must have one entry a class; got 3 for .*\(3, 2\)"),
        ({"logits": torch.tensor(0.0)}, ValueError, "`class_prior` must have one entry a class"),
        ({"class_prior": [1.0, 0.0, 2.0]}, ValueError, "`class_prior` must be finite and > 0; got 0.0 for class 1"),
        ({"target_prior": [1.0, -1.0, 2.0]}, ValueError, "`target_prior` must be finite and > 0; got -1.0 for class 1"),
        ({"target_prior": [1.0, 2.0]}, ValueError, "`target_prior` must have one entry a class; got 2"),
        ({"tau": "1"}, TypeError, "`tau` must be a finite number; got '1'"),
        ({"tau": float("nan")}, ValueError, "`tau` must be a finite number; got nan"),
        ({"tau": torch.zeros(3)}, ValueError, r"`tau` must be a number or a 0-d tensor; got shape \(3,\)"),
    ],
)
def test_bad_input(arguments, error, text):
    with pytest.raises(error, match=text):
        calibrate(**{"logits": torch.zeros(2, 3), "class_prior": PRIOR, "tau": 1.0, **arguments})


@pytest.mark.parametrize(
    ("tau", "error", "message"),
    [
        (torch.tensor(float("nan")), ValueError, "`tau` must be a finite number; got nan"),
        (torch.tensor(-float("inf"), requires_grad=True), ValueError, "`tau` must be a finite number; got -inf"),
        (torch.tensor(1j), TypeError, "`tau` must be real; got torch.complex64"),
        (torch.tensor(True), TypeError, "`tau` must be real; got torch.bool"),
        (10**400, ValueError, "`tau` must be a finite number; got 1000"),
        (1e38, ValueError, r"`tau` must be so small that it changes logits by less than 1.7e\+38; got 1e\+38 with a"),
        (torch.tensor(1e300, dtype=torch.float64), ValueError, r"`tau` must be so small .* got 1e\+300"),
    ],
)
def test_a_strength_that_would_leave_no_number_is_named(tau, error, message):
    with pytest.raises(error, match=f"^{message}"):
        calibrate(torch.zeros(1, 2), [90, 0.1], tau)


def test_a_strength_on_a_device_is_not_looked_at():
    cuda = FakeCuda()
    logits, tau = cuda.placed((torch.zeros(3, 2), torch.tensor(0.5)))
    log_prior = cuda.placed(torch.tensor([1.0, -1.0]))
    with cuda.step():
        assert _checked_tau(tau, log_prior, logits).device == cuda.device


@pytest.mark.parametrize("prior", [[1e-300, 1.0], [1e300, 1e10], [5e-324, 1e-300]])
def test_an_extreme_prior_gives_finite_logits(prior):
    found = calibrate(torch.zeros(2, 2), prior, 0.5, target_prior=prior)
    assert bool(found.isfinite().all())
    torch.testing.assert_close(calibrate(torch.zeros(2, 2), prior, 1.0, target_prior=prior), torch.zeros(2, 2))


def test_a_prior_of_one_class_alone_is_refused():
    """Its other entries would be zeros once they sum to 1, and their logarithms infinite."""
    message = (
        r"^`class_prior` must be less uneven than 1 to 1e-307; got 1e-300 for class 1 beside 1e\+300\. Give classes"
    )
    with pytest.raises(ValueError, match=message):
        calibrate(torch.zeros(1, 2), [1e300, 1e-300], 1.0)
