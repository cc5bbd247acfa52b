from __future__ import annotations

import pytest
import torch
from adsa_small import COUNTS, distilled_set
from relabel_small import task

from lt_callbacks.adsa import fit_tau
from lt_callbacks.relabel import RelabelSettings, RelabelTask


def test_its_estimator_is_that_of_the_prior_and_starts_anew():
    asked = task(shrink_to=2.0)
    logits, intended = torch.randn(24, 4, generator=torch.Generator().manual_seed(0)), distilled_set().intended_class
    for _ in range(2):
        estimator = asked.estimator(torch.device("cpu"))
        estimator.update(logits, intended)
        assert estimator.compute().tau == pytest.approx(fit_tau(logits, intended, COUNTS, shrink_to=2.0).tau, abs=1e-6)


@pytest.mark.parametrize(
    ("prior", "settings", "text"),
    [
        ([3, 2, 1], {}, "`class_prior` must have one entry for each of the 4 classes"),
        ([3, 2, 1, 0], {}, "`class_prior` must be finite and > 0; got 0"),
        ([1e30, 1, 1, 1], {}, "`class_prior` must"),
        (COUNTS, {"target_prior": [1] * 5}, "`target_prior` must have one entry for each of the 4"),
        (COUNTS, {"shrink_to": 9.0}, "`shrink_to` must"),
        (COUNTS, {"top_k": 5}, "`top_k` must be an integer >= 1 and <= 4; got 5"),
    ],
)
def test_what_does_not_fit_the_set_is_refused_when_it_is_asked_for(prior, settings, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        RelabelTask(distilled=distilled_set(), class_prior=prior, settings=RelabelSettings(**settings))


def test_a_prior_is_kept_as_it_was_given():
    asked = RelabelTask(distilled=distilled_set(), class_prior=list(COUNTS), settings=RelabelSettings())
    assert asked.class_prior.dtype == torch.float64
    assert asked.class_prior.tolist() == list(COUNTS)
    assert asked.prior_source == "argument"
