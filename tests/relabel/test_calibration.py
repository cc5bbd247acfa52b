from __future__ import annotations

import pytest
import torch
from adsa_small import COUNTS, NAMES, distilled_set, fresh, network_input
from relabel_small import source, task

from lt_callbacks.adsa import calibrate, fit_tau
from lt_callbacks.relabel import find_calibration
from lt_callbacks.relabel.alarms import alarms, label_quality, label_sums

INTENDED = distilled_set().intended_class


@torch.no_grad()
def plain():
    return fresh().eval()(network_input(distilled_set().images))


def test_the_fit_is_that_of_the_logits():
    found, expected = find_calibration(task(), source()), fit_tau(plain(), INTENDED, COUNTS)
    assert found.fit.tau == pytest.approx(expected.tau, abs=1e-5)
    assert found.fit.class_confidence.tolist() == pytest.approx(expected.class_confidence.tolist(), abs=1e-5)


def test_labels_get_a_tau_of_six_decimals_and_everything_else_of_the_fit():
    found = find_calibration(task(), source())
    assert found.label_fit.tau == round(found.fit.tau, 6)
    assert found.label_fit.tau != found.fit.tau
    assert {**found.label_fit.to_dict(), "tau": 0} == {**found.fit.to_dict(), "tau": 0}


def test_quality_and_alarms_are_those_of_the_labels_without_a_target_prior():
    found = find_calibration(task(target_prior=[1, 9, 1, 1]), source())
    labels = calibrate(plain(), COUNTS, found.label_fit.tau)
    expected = label_quality(label_sums(labels, INTENDED))
    assert found.quality.recognised.tolist() == expected.recognised.tolist()
    assert found.quality.entropy.tolist() == pytest.approx(expected.entropy.tolist(), abs=1e-6)
    # An untrained network: there is something to complain about.
    assert found.alarms == tuple(alarms(found.label_fit, found.quality, class_names=NAMES))
    assert found.alarms


@pytest.mark.parametrize("target_prior", [[1, 9, 1, 1], [1, 1e6, 1, 1], [1e6, 1, 1, 1]])
@pytest.mark.parametrize("fit_on", ["plain", "strong"])
def test_a_target_prior_changes_no_alarm(target_prior, fit_on):
    """Also one under which every label would be of one class."""
    found, plain_found = (
        find_calibration(task(fit_on=fit_on, target_prior=prior), source()) for prior in (target_prior, None)
    )
    assert found.alarms == plain_found.alarms != ()
    assert found.fit.to_dict() == plain_found.fit.to_dict()
    assert found.quality.entropy.tolist() == plain_found.quality.entropy.tolist()


class OneOfThree:
    """A rank that says what it would add to the sums of the others."""

    num_ranks = 3

    def __init__(self, rank, log):
        self.rank, self.log = rank, log

    def total(self, values):
        self.log.append(values)
        return values

    def together(self, work):
        return work()


def test_a_rank_looks_at_its_own_images():
    shares = []
    for rank in range(3):
        find_calibration(task(), source(), ranks=OneOfThree(rank, shares))
    assert [float(share[0].sum()) for share in shares] == [8.0] * 3
    whole = label_sums(calibrate(plain(), COUNTS, find_calibration(task(), source()).label_fit.tau), INTENDED)
    assert torch.stack(shares).sum(dim=0)[0].tolist() == whole[0].tolist() == [6.0] * 4


def test_the_views_that_are_labelled_are_not_looked_at():
    def stored(samples, view):
        raise AssertionError("stored logits are rounded")

    found = find_calibration(task(fit_on="mixed"), source(stored=stored))
    assert found.fit.tau == find_calibration(task(fit_on="mixed"), source()).fit.tau


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        find_calibration(
            task(), source(of=lambda views: lambda samples, view: torch.full((len(samples), 4), torch.nan))
        )
