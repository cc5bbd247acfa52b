from __future__ import annotations

import math

import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.config.build import build_classifier, build_trainer
from lt_callbacks.apps.shared.predictions import predict, shares
from lt_callbacks.apps.train.curves import History


def fit(folder, *, every, epochs=3, validation_fraction=0.1):
    study = tiny_study(folder, f"data.validation_fraction={validation_fraction}")
    torch.manual_seed(0)
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    history = History(test_every_n_epochs=every)
    trainer = build_trainer(study.config, max_epochs=epochs, callbacks=[history])
    trainer.fit(classifier, datamodule=study.datamodule)
    return study, trainer, classifier, history.curves


def test_one_value_an_epoch_and_the_test_set_only_when_due(tmp_path):
    study, trainer, classifier, curves = fit(tmp_path, every=2, epochs=3)
    assert curves["epoch"] == [1, 2, 3]
    assert all(math.isfinite(value) for value in curves["train_loss"])
    assert curves["train_loss"][-1] == pytest.approx(float(trainer.callback_metrics["train/loss"]))
    # What validation measured is a share; the curves are in percent.
    assert curves["val_accuracy"][-1] == pytest.approx(100 * float(trainer.callback_metrics["val/accuracy"]))
    assert [math.isnan(value) for value in curves["test_accuracy"]] == [True, False, False]

    test = predict(build_trainer(study.config), classifier, study.datamodule.test_dataloader())
    assert curves["test_accuracy"][-1] == pytest.approx(shares(test.logits, test.label, study.datamodule)["accuracy"])


def test_without_a_test_interval_or_a_held_out_share_there_is_no_such_curve(tmp_path):
    *_, curves = fit(tmp_path, every=0, epochs=1, validation_fraction=0)
    assert sorted(curves) == ["epoch", "train_loss"]


def test_looking_at_the_test_set_changes_nothing(tmp_path):
    *_, plain, _ = fit(tmp_path, every=0)
    *_, watched, _ = fit(tmp_path, every=1)
    assert all(
        torch.equal(a, b) for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    )


def test_a_layer_that_its_owner_keeps_in_eval_mode_stays_in_it(tmp_path):
    study = tiny_study(tmp_path)
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    norm = next(module for module in classifier.modules() if isinstance(module, torch.nn.BatchNorm2d))
    trainer = build_trainer(study.config, max_epochs=2, callbacks=[History(test_every_n_epochs=1)])
    norm.eval()
    before = norm.running_mean.clone()
    trainer.fit(classifier, datamodule=study.datamodule)
    assert torch.equal(norm.running_mean, before)


@pytest.mark.parametrize("every", [-1, 1.5, True])
def test_the_interval_is_a_count(every):
    with pytest.raises((TypeError, ValueError), match="^`test_every_n_epochs` must be an integer >= 0; got"):
        History(test_every_n_epochs=every)
