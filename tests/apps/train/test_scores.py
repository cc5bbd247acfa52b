from __future__ import annotations

import json

import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.config.build import build_classifier
from lt_callbacks.apps.train.scores import score, score_matched
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.methods import Classifier
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.transport import sinkhorn


def classifier(study: SeedStudy, seed: int) -> Classifier:
    with isolated_seed(seed):
        return build_classifier(study.config, study.datamodule, group="objective")


def logits(study: SeedStudy, model: Classifier, loader) -> tuple[torch.Tensor, torch.Tensor]:
    images, label, _ = (torch.cat(parts) for parts in zip(*loader, strict=True))
    with torch.no_grad():
        return model.eval()(images), label


def share(predicted: torch.Tensor, label: torch.Tensor) -> float:
    return 100 * float((predicted.argmax(dim=1) == label).double().mean())


def test_a_result_holds_what_was_measured_and_what_was_told(tmp_path):
    study = tiny_study(tmp_path, "setting=here", "seed=2")
    model = classifier(study, 1)
    told = {"epoch": [1, 2], "test_accuracy": [float("nan"), 12.34567], "train_loss": [float("inf"), 1.0]}
    result = score(study.config, study.datamodule, model, method="ce", seconds=3.5, extra={"reused": True}, curves=told)
    assert (result.method, result.seed, result.seconds, result.setting) == ("CE", 2, 3.5, "here")
    assert result.accuracy == pytest.approx(share(*logits(study, model, study.datamodule.test_dataloader())), abs=1e-3)
    held_out = share(*logits(study, model, study.datamodule.val_dataloader()))
    assert result.extra == {
        "reused": True,
        "curves": {"epoch": [1, 2], "test_accuracy": [None, 12.3457], "train_loss": [None, 1.0]},
        "val_accuracy": pytest.approx(held_out, abs=1e-3),
    }
    assert result.best_accuracy == 12.3457
    predicted, given = logits(study, model, study.datamodule.predict_dataloader())
    is_wrong = given != torch.tensor(study.datamodule.true_labels[study.datamodule.train_indices])
    assert result.wrong_labels_fitted == pytest.approx(share(predicted[is_wrong], given[is_wrong]), abs=1e-3)


def test_without_curves_there_is_no_best_epoch(tmp_path):
    study = tiny_study(tmp_path)
    result = score(study.config, study.datamodule, classifier(study, 1), method="noise_teacher", seconds=0.0, extra={})
    assert result.best_accuracy is None
    assert result.extra.keys() == {"val_accuracy"}


def test_a_matched_result_has_the_class_totals_of_the_imbalance_teacher(tmp_path):
    study = tiny_study(tmp_path)
    model, teacher = classifier(study, 1), classifier(study, 2)
    result = score_matched(
        study.config, study.datamodule, model, imbalance_teacher=teacher, method="noise_teacher_matched"
    )
    (scored, label), (imbalance, _) = (
        logits(study, each, study.datamodule.test_dataloader()) for each in (model, teacher)
    )
    plan = sinkhorn(scored.log_softmax(dim=1), imbalance.softmax(dim=1).sum(dim=0)).plan
    assert result.accuracy == pytest.approx(share(plan, label), abs=1e-3)
    assert (result.seconds, result.extra) == (0.0, {})


def test_a_loss_that_diverges_does_not_cost_the_result(tmp_path):
    study = tiny_study(tmp_path, "optimisation=sgd", "optimisation.learning_rate=1e30", "test_every_n_epochs=1")
    result = study.run("ce")
    assert None in result.extra["curves"]["train_loss"]
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_clean_set_has_no_wrong_labels_to_fit(tmp_path):
    result = tiny_study(tmp_path, "noise=none", "data.validation_fraction=0").run("ce")
    assert result.wrong_labels_fitted is None
    assert "val_accuracy" not in result.extra
