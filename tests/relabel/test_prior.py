from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adsa_small import COUNTS, NAMES, Data, distilled_set

from lt_callbacks.relabel.prior import check_length, checked_prior, prior_of_datamodule


@pytest.mark.parametrize(
    "values", [[3, 2, 1], (0.5, 0.3, 0.2), np.array([3, 2, 1]), torch.tensor([3, 2, 1]), torch.tensor([3.0, 2, 1])]
)
def test_counts_and_frequencies_come_back_as_they_were_given(values):
    prior = checked_prior("class_prior", values)
    assert prior.dtype == torch.float64
    assert prior.tolist() == pytest.approx(np.asarray(values).tolist())


def test_a_config_list_is_taken():
    omegaconf = pytest.importorskip("omegaconf")
    assert checked_prior("class_prior", omegaconf.ListConfig([3, 2, 1])).tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3, 0, 1], "`target_prior` must be finite and > 0; got 0"),
        ([3, -1, 1], "`target_prior` must be finite and > 0; got -1"),
        ([3, float("nan")], "`target_prior` must be finite and > 0; got nan"),
        ([[3, 1]], "`target_prior` must have shape (C,)"),
        ("datamodul", "`target_prior` must be one of 'datamodule'; got 'datamodul'. Or pass counts"),
    ],
)
def test_what_is_no_prior_is_refused_by_name(values, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        checked_prior("target_prior", values)


def test_words_are_no_prior():
    with pytest.raises(TypeError, match="^`class_prior` must be"):
        checked_prior("class_prior", ["many", "few"])


def test_a_prior_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="^`class_prior` must have one entry for each of the 4 classes .*; got 3"):
        check_length("class_prior", torch.ones(3), distilled_set())


def test_the_datamodules_prior_counts_what_is_trained_on():
    # Its held-out samples have other counts.
    assert prior_of_datamodule(Data(), distilled_set()).tolist() == list(COUNTS)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, list])
def test_given_labels_may_be_any_integers(kind):
    datamodule = SimpleNamespace(given_labels=kind([0, 1, 2, 3, 3]))
    assert prior_of_datamodule(datamodule, distilled_set()).tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("datamodule", "text"),
    [
        (None, "beside a datamodule with `given_labels`; got 'datamodule' and no datamodule."),
        (SimpleNamespace(), "and SimpleNamespace without `given_labels`. Pass `class_prior=[...]`"),
        (SimpleNamespace(given_labels=[0, 1, 2, 2]), "`class_prior` must be finite and > 0; got 0"),
        (SimpleNamespace(given_labels=[0, 1, 2, 3, 4]), "got a set of 4 classes, where the datamodule has label 4."),
        (SimpleNamespace(given_labels=[4, 1, 2, 3]), "where the datamodule has label 4. They count from 1: subtract 1"),
        (
            SimpleNamespace(given_labels=[0.0, 1.0]),
            "must be integers >= 0, one a sample of the datamodule; got float64",
        ),
        (SimpleNamespace(given_labels=[]), "must be integers >= 0"),
        (SimpleNamespace(given_labels=[0, -1]), "must be integers >= 0"),
        (SimpleNamespace(given_labels=[0], num_classes=7), "`distilled` must have the datamodule's 7 classes"),
        (SimpleNamespace(given_labels=[0], class_names=["a"]), "`distilled` must have the datamodule's 1 classes"),
        (
            SimpleNamespace(given_labels=[0], class_names=[*NAMES[:2], "dog", "cat"]),
            "got class 2, which is 'dog' in the datamodule and 'cat' in the set.",
        ),
    ],
)
def test_a_datamodule_that_does_not_fit_is_refused(datamodule, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        prior_of_datamodule(datamodule, distilled_set())
