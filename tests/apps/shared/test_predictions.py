from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.config.build import build_classifier, build_trainer
from lt_callbacks.apps.shared.predictions import Predictions, predict, shares, wrong_labels_fitted


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("predictions"), "data.eval_batch_size=100")


def test_predictions_are_the_models_logits_in_the_order_of_the_indices(study):
    torch.manual_seed(0)
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    found = predict(build_trainer(study.config), classifier, study.datamodule.predict_dataloader())
    images, labels, index = (torch.cat(parts) for parts in zip(*study.datamodule.predict_dataloader(), strict=True))
    with torch.no_grad():
        expected = classifier.eval()(images)
    assert found.logits.dtype == torch.float32
    torch.testing.assert_close(found.logits, expected, atol=1e-5, rtol=0)
    assert torch.equal(found.label, labels)
    assert torch.equal(found.index, index)
    assert found.index.tolist() == study.datamodule.train_indices.tolist()


def test_training_data_is_predicted_as_it_is(study):
    clean = build_classifier(study.config, study.datamodule, group="objective")
    first, second = (
        predict(build_trainer(study.config), clean, study.datamodule.predict_dataloader()).logits for _ in range(2)
    )
    assert torch.equal(first, second)


def one_hot(predicted):
    return torch.nn.functional.one_hot(torch.tensor(predicted), 10).float()


def test_shares_of_known_predictions(study):
    # Classes 0-2 are the head of ten, 7-9 the tail; class 4 has no test sample.
    label = torch.tensor([0, 0, 0, 0, 1, 2, 3, 5, 6, 7, 8, 9])
    logits = one_hot([0, 0, 0, 1, 1, 0, 3, 5, 0, 0, 0, 9])
    found = shares(logits, label, study.datamodule)
    assert found["accuracy"] == pytest.approx(100 * 7 / 12)
    assert found["many"] == pytest.approx(100 * (3 / 4 + 1 + 0) / 3)
    assert found["medium"] == pytest.approx(100 * (1 + 1 + 0) / 3)
    assert found["few"] == pytest.approx(100 * (0 + 0 + 1) / 3)
    assert found["per_class"] == pytest.approx((75, 100, 0, 100, None, 100, 0, 0, 0, 100))


def test_a_group_without_a_test_sample_has_no_share(study):
    found = shares(one_hot([0]), torch.tensor([0]), study.datamodule)
    assert (found["many"], found["medium"], found["few"]) == (100, None, None)


def test_fitted_are_wrong_labels_that_are_predicted_as_given(study):
    datamodule = study.datamodule
    wrong = np.flatnonzero(datamodule.given_labels != datamodule.true_labels)[:4]
    right = np.flatnonzero(datamodule.given_labels == datamodule.true_labels)[:5]
    index = np.concatenate([right, wrong])
    given, true = datamodule.given_labels[index], datamodule.true_labels[index]
    # Right labels are predicted too, which must not count; of the wrong ones three are learnt and one is seen through.
    predicted = np.concatenate([given[:5], given[5:8], true[8:]])
    found = Predictions(logits=one_hot(predicted), label=torch.tensor(given), index=torch.tensor(index))
    assert wrong_labels_fitted(found, datamodule) == pytest.approx(75)


def test_without_wrong_labels_there_is_no_share_of_them(study):
    right = np.flatnonzero(study.datamodule.given_labels == study.datamodule.true_labels)
    label = torch.tensor(study.datamodule.given_labels[right])
    found = Predictions(logits=one_hot(label.tolist()), label=label, index=torch.tensor(right))
    assert wrong_labels_fitted(found, study.datamodule) is None
