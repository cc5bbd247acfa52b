from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.core.hooks import DataHooks, ModelHooks
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lt_callbacks.teachers.batch_fields import get_field
from lt_callbacks.teachers.sample_index import gives_index
from lt_callbacks.teachers.training_data import TrainingData

#: Described otherwise, or without a share in what is learnt.
_ELSEWHERE = {"setup", "prepare_data", "teardown", "train_dataloader", "test_dataloader", "predict_dataloader"}

#: Hooks of a module that change how it is trained, beside Lightning's two lists.
_OF_MODULES = {
    "configure_callbacks",
    "configure_gradient_clipping",
    "lr_scheduler_step",
    "optimizer_step",
    "optimizer_zero_grad",
    "validation_step",
    "backward",
}

#: Arguments of a trainer that matter where a validation does.
_OF_VALIDATION = ("limit_val_batches", "check_val_every_n_epoch", "val_check_interval")


def describe_pipeline(
    network: LightningModule, data: TrainingData, trainer: Mapping[str, Any], *, needs_index: bool
) -> dict[str, Any] | None:
    """What of a user's own pipeline takes part in a teacher's training, as JSON values.

    Returns:
        The overridden hooks of module and datamodule by name, named places in the batch, and how often the validation
        runs where there is one; None where a teacher is trained on plain batches with nothing beside.
    """
    of_all = {name for hooks in (ModelHooks, DataHooks) for name in vars(hooks) if not name.startswith("_")}
    facts: dict[str, Any] = {
        "module": _overridden(of_all | _OF_MODULES, network, LightningModule),
        "datamodule": _overridden(of_all, data.datamodule, LightningDataModule),
        "fields": {name: place for name, place in vars(data.fields).items() if place is not None},
    }
    if needs_index and _has_third_item(data):
        # It was once taken for the index.
        facts["index"] = "positions"
    if "val_dataloader" in facts["datamodule"]:
        facts["validation"] = {name: trainer[name] for name in _OF_VALIDATION if trainer.get(name) is not None}
    facts = {name: value for name, value in facts.items() if value}
    return facts or None


def _has_third_item(data: TrainingData) -> bool:
    if data.fields.index_from is not None or gives_index(data.loader):
        return False
    with isolate_rng():
        return isinstance(get_field(next(iter(data.loader)), 2), Tensor)


def _overridden(names: set[str], instance: Any, kind: type) -> list[str]:
    return sorted(
        name
        for name in names - _ELSEWHERE
        if hasattr(kind, name) and callable(getattr(instance, name, None)) and is_overridden(name, instance, kind)
    )
