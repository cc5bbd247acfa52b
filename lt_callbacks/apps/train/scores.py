from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lt_callbacks.apps.config.build import build_scoring_trainer
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.predictions import Predictions, predict, shares, wrong_labels_fitted
from lt_callbacks.apps.train.fit import finite
from lt_callbacks.apps.train.rows import title
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.methods import Classifier
from lt_callbacks.transport import sinkhorn


def score(
    config: TrainConfig,
    datamodule: LongTailedDataModule,
    classifier: Classifier,
    *,
    method: str,
    seconds: float,
    extra: Mapping[str, Any],
    curves: Mapping[str, list[float]] | None = None,
) -> MethodResult:
    """A row's result: its trained classifier on the test set, the training set, and the held-out share if there is one.

    Args:
        config: The settings.
        datamodule: The corrupted data; its seed is the row's.
        classifier: Trained.
        method: The row.
        seconds: Of its training.
        extra: What else is told of it, as JSON values.
        curves: Of its training, see `History`; None: it has none.
    """
    trainer = build_scoring_trainer(config)
    test = predict(trainer, classifier, datamodule.test_dataloader())
    train = predict(trainer, classifier, datamodule.predict_dataloader())
    extra = dict(extra)
    lines = {name: [finite(round(value, 4)) for value in line] for name, line in (curves or {}).items()}
    if lines:
        extra["curves"] = lines
    tested = [value for value in lines.get("test_accuracy", []) if value is not None]
    if len(datamodule.val_indices):
        held_out = predict(trainer, classifier, datamodule.val_dataloader())
        is_right = held_out.logits.argmax(dim=1) == held_out.label
        extra["val_accuracy"] = 100 * float(is_right.float().mean())
    return MethodResult(
        method=title(method, config),
        seed=datamodule.seed,
        seconds=seconds,
        setting=config.setting,
        best_accuracy=max(tested) if tested else None,
        wrong_labels_fitted=wrong_labels_fitted(train, datamodule),
        extra=extra,
        **shares(test.logits, test.label, datamodule),
    )


def score_matched(
    config: TrainConfig,
    datamodule: LongTailedDataModule,
    classifier: Classifier,
    *,
    imbalance_teacher: Classifier,
    method: str,
) -> MethodResult:
    """A row's result without a training: predictions of the whole test set, matched to the class totals of f_L's.

    Args:
        config: The settings.
        datamodule: The corrupted data; its seed is the row's.
        classifier: Whose predictions are matched.
        imbalance_teacher: f_L.
        method: The row.
    """
    scored, imbalance = (_on_test_set(config, datamodule, each) for each in (classifier, imbalance_teacher))
    plan = sinkhorn(scored.logits.log_softmax(dim=1), imbalance.logits.softmax(dim=1).sum(dim=0)).plan
    return MethodResult(
        method=title(method, config),
        seed=datamodule.seed,
        seconds=0.0,
        setting=config.setting,
        **shares(plan, scored.label, datamodule),
    )


def _on_test_set(config: TrainConfig, datamodule: LongTailedDataModule, classifier: Classifier) -> Predictions:
    return predict(build_scoring_trainer(config), classifier, datamodule.test_dataloader())
