from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from lt_callbacks.apps.schemas import DataConfig, TrainConfig
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import SOURCES, LongTailedDataModule, Source
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.objectives import OBJECTIVES, build_objective

_SOURCE_FIELDS = ("root", "path", "train_csv", "test_csv", "image_size", "test_fraction")


def build_source(config: DataConfig) -> Source:
    """The data set that ``config`` names; a setting that it does not read is refused, not ignored."""
    from lt_callbacks._checks import one_of

    source = SOURCES[one_of("data.name", config.name, SOURCES)]
    parameters = inspect.signature(source).parameters
    given = {name: getattr(config, name) for name in _SOURCE_FIELDS if getattr(config, name) is not None}
    for name, value in given.items():
        if name not in parameters:
            raise ValueError(
                f"`data.{name}` must be null for data set {config.name!r}, which reads {sorted(parameters)}; got "
                f"{value!r}. Set data.{name}=null."
            )
    return source(**given)


def build_datamodule(config: TrainConfig, source: Source, *, seed: int) -> LongTailedDataModule:
    """Corrupted data of one seed. Without a corruption seed of its own, each seed has its own corruption."""
    data = config.data
    return LongTailedDataModule(
        source=source,
        imbalance=Imbalance(**vars(config.imbalance)),
        noise=Noise(**vars(config.noise)),
        corruption_seed=seed if config.corruption_seed is None else config.corruption_seed,
        seed=seed,
        manifest=config.manifest,
        validation_fraction=data.validation_fraction,
        batch_size=data.batch_size,
        eval_batch_size=data.eval_batch_size,
        augment=data.augment,
        residence=data.residence,
        num_workers=data.num_workers,
    )


def build_classifier(
    config: TrainConfig,
    datamodule: LongTailedDataModule,
    *,
    objective: str,
    settings: dict[str, Any],
    learning_rate: float | None = None,
) -> Classifier:
    """A fresh classifier with random weights from torch's global generator."""
    optimisation = dict(vars(config.optimisation))
    if learning_rate is not None:
        optimisation["learning_rate"] = learning_rate
    loss = build_objective(objective, settings=settings)
    network = build_model(
        config.model.name,
        num_classes=datamodule.num_classes,
        in_channels=datamodule.image_shape[0],
        head=OBJECTIVES[objective].head,
        width=config.model.width,
    )
    return Classifier(
        network=network,
        objective=loss,
        optimisation=Optimisation(**optimisation),
        channels_last=config.model.channels_last,
    )


def output_folder(config: TrainConfig) -> Path:
    """Where the run's files go."""
    return Path(config.output)
