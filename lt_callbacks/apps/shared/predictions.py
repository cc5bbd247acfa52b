from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.metrics import ShotAccuracy


@dataclass(frozen=True)
class Predictions:
    """A model's logits on one part of the data, on the CPU.

    Attributes:
        logits: (N, C) float32.
        label: (N,) the batches' labels.
        index: (N,) the samples' indices.
    """

    logits: Tensor
    label: Tensor
    index: Tensor


def predict(trainer: Trainer, model: LightningModule, loader: Any) -> Predictions:
    """Run ``model``, whose ``predict_step`` returns logits, labels and indices, over ``loader``."""
    batches: Any = trainer.predict(model, dataloaders=loader)
    logits, label, index = (torch.cat([part.cpu() for part in parts]) for parts in zip(*batches, strict=True))
    return Predictions(logits=logits, label=label, index=index)


def shares(logits: Tensor, label: Tensor, datamodule: LongTailedDataModule) -> dict[str, Any]:
    """Accuracy overall, by shot group and by class, in percent, and what of; the fields of a `MethodResult`."""
    metric = ShotAccuracy(class_counts=datamodule.shot_class_counts)
    metric.update(logits, label)
    found = metric.compute()
    return {
        "accuracy": 100 * float(found["all"]),
        **{group: 100 * float(found[group]) if group in found else None for group in ("many", "medium", "few")},
        "per_class": tuple(None if value != value else 100 * value for value in metric.per_class().tolist()),
        "scored_on": datamodule.source.scored_on,
    }


def wrong_labels_fitted(train: Predictions, datamodule: LongTailedDataModule) -> float | None:
    """Percent of the wrongly labelled training samples that are predicted as their given label.

    None without any, and where nobody knows which they are.
    """
    if datamodule.true_labels is None:
        return None
    true_label = torch.tensor(datamodule.true_labels)[train.index]
    is_wrong = train.label != true_label
    if not bool(is_wrong.any()):
        return None
    return 100 * float((train.logits.argmax(dim=1) == train.label)[is_wrong].float().mean())
