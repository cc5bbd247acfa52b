from __future__ import annotations

import json

import pytest
from adsa_small import NAMES, distilled_set
from relabel_small import VIEWS, source, task

from lt_callbacks.relabel import find_calibration
from lt_callbacks.relabel.result import calibration_facts, result_facts


def test_labels_are_those_of_a_tau_a_prior_and_what_made_the_logits():
    asked = task(target_prior=[4, 3, 2, 1])
    of = source(networks=("a", "b"), precision="32-true")
    fit = find_calibration(asked, of).label_fit
    facts = calibration_facts(asked, of, fit)
    assert facts == {
        "method": "adsa",
        "tau": fit.tau,
        "class_prior": fit.class_prior.tolist(),
        "target_prior": pytest.approx([0.4, 0.3, 0.2, 0.1]),
        "model_sha256": of.model_sha256,
        "networks": ["a", "b"],
        "precision": "32-true",
    }


def test_entries_that_nothing_is_known_of_are_null():
    asked, of = task(), source(model_sha256=None)
    found = find_calibration(asked, of)
    facts = calibration_facts(asked, of, found.label_fit)
    unknown = {"target_prior", "model_sha256", "networks", "precision"}
    assert {name for name, value in facts.items() if value is None} == unknown
    result = result_facts(asked, of, found)
    assert {name for name, value in result.items() if value is None} >= {*unknown, "shrink_to", "top_k"}


@pytest.mark.parametrize(("fit_on", "num_fit_views"), [("plain", 1), ("crops", 2)])
def test_the_result_says_what_was_found_and_how(fit_on, num_fit_views):
    asked, of = task(fit_on=fit_on, shrink_to=1.0), source()
    found = find_calibration(asked, of)
    result = result_facts(asked, of, found)
    assert result.items() >= found.label_fit.to_dict().items()
    assert result["alarms"] == list(found.alarms)
    assert result["class_names"] == list(NAMES)
    assert result["recognised"] == found.quality.recognised.tolist()
    assert (result["fit_on"], result["num_fit_views"], result["shrink_to"]) == (fit_on, num_fit_views, 1.0)
    assert (result["views"], result["num_views"], result["labels"]) == (VIEWS.to_dict(), 3, "soft_labels")
    assert (result["prior_source"], result["distilled_sha256"]) == ("argument", distilled_set().sha256)
    json.dumps(result, allow_nan=False)
