"""From settings to the objects that do the work; a refusal names the setting as it is typed on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hydra
from hydra.errors import InstantiationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.apps.config.default_network import network_name
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.errors import named, names_in
from lt_callbacks.apps.config.train_schemas import DataConfig, ImbalanceConfig, NoiseConfig, TrainConfig
from lt_callbacks.corruption import Imbalance, Manifest, Noise
from lt_callbacks.data import OWN_DATA, SOURCES, TEST_FRACTION, LongTailedDataModule, Source, hold_out_test
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.objectives import OBJECTIVES, build_objective

_SOURCE_FIELDS = ("root", "path", "train_csv", "test_csv", "image_size", "test_fraction", "crop_padding", "flip")


def build_source(config: DataConfig) -> Source:
    """The data set that ``config`` names; a setting that it does not read is refused, not ignored.

    Data of one's own without a test set gives up a share of its training samples to be scored on.
    """
    make_source = SOURCES[one_of("data.name", config.name, SOURCES)]
    parameters = inspect.signature(make_source).parameters
    given = {name: getattr(config, name) for name in _SOURCE_FIELDS if getattr(config, name) is not None}
    is_own = config.name in OWN_DATA
    test_fraction = given.pop("test_fraction", None) if is_own else None
    for name, value in given.items():
        if name not in parameters:
            read = ", ".join([*(field for field in parameters if field in _SOURCE_FIELDS), *["test_fraction"] * is_own])
            raise ArgumentValueError(
                f"data.{name}",
                rule=f"be null for data set {config.name!r}, which reads {read}",
                got=repr(value),
                way_out=f"Set data.{name}=null.",
            )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise ArgumentValueError(
                f"data.{name}",
                rule=f"be given for data set {config.name!r}",
                got="null",
                way_out=f"Set data.{name}=...",
            )
    with named(names_in("data", DataConfig)):
        source = make_source(**given)
    if config.labels_are_true is not None:
        source = replace(source, labels_are_true=config.labels_are_true)
    if is_own and (source.test is None or test_fraction is not None):
        with named({"fraction": "data.test_fraction"}):
            return hold_out_test(source, fraction=TEST_FRACTION if test_fraction is None else test_fraction)
    return source


def build_datamodule(config: TrainConfig | DistillConfig, source: Source, *, seed: int) -> LongTailedDataModule:
    """Corrupted data of one seed. Without a corruption seed of its own, each seed has its own corruption."""
    data = config.data
    with named(names_in("imbalance", ImbalanceConfig)):
        imbalance = Imbalance(**vars(config.imbalance))
    with named(names_in("noise", NoiseConfig)):
        noise = Noise(**vars(config.noise))
    with named({"path": "manifest"}):
        manifest = None if config.manifest is None else Manifest.load(config.manifest)
    names = {
        **names_in("data", DataConfig),
        **names_in("noise", NoiseConfig),
        "class_order": "imbalance.class_order",
        "imbalance_factor": "imbalance.factor",
    }
    with named(names):
        return LongTailedDataModule(
            source=source,
            imbalance=imbalance,
            noise=noise,
            corruption_seed=seed if config.corruption_seed is None else config.corruption_seed,
            seed=seed,
            manifest=manifest,
            validation_fraction=data.validation_fraction,
            batch_size=data.batch_size,
            eval_batch_size=data.eval_batch_size,
            sampling=data.sampling,
            augment=data.augment,
            residence=data.residence,
            num_workers=data.num_workers,
        )


def build_classifier(
    config: TrainConfig | DistillConfig,
    datamodule: LongTailedDataModule,
    *,
    group: str,
    learning_rate: float | None = None,
) -> Classifier:
    """A fresh classifier with random weights from torch's global generator.

    Args:
        config: The settings.
        datamodule: Says how many classes and channels there are.
        group: Config group that says what is minimised: ``"objective"``, ``"imbalance_teacher"``, ``"noise_teacher"``.
        learning_rate: Instead of ``config.optimisation``'s.
    """
    chosen = getattr(config, group)
    optimisation = dict(vars(config.optimisation))
    if learning_rate is not None:
        optimisation["learning_rate"] = learning_rate
    with named(names_in(group, type(chosen))):
        objective = build_objective(chosen.name, settings=chosen.settings)
    with named(names_in("model", type(config.model))):
        network = build_model(
            network_name(config.model.name, datamodule.image_shape),
            num_classes=datamodule.num_classes,
            in_channels=datamodule.image_shape[0],
            head=OBJECTIVES[chosen.name].head,
            width=config.model.width,
        )
    names = names_in("optimisation", type(config.optimisation))
    if learning_rate is not None:
        names["learning_rate"] = f"{group}.learning_rate"
    with named(names):
        return Classifier(
            network=network,
            objective=objective,
            optimisation=Optimisation(**optimisation),
            channels_last=config.model.channels_last,
        )


def build_trainer(config: TrainConfig | DistillConfig, **changes: Any) -> Trainer:
    """A trainer that prints and writes nothing of its own.

    Raises:
        ValueError: Lightning refuses ``config.trainer`` on this machine.
    """
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "logger": False,
        "default_root_dir": config.output,
    }
    settings = vars(config.trainer)
    try:
        return Trainer(**{**settings, **quiet, **changes})
    except Exception as error:  # Lightning's own kinds of error are not those of Python
        raise ArgumentValueError(
            "trainer",
            rule="be what lightning.Trainer accepts on this machine",
            got=f"{settings}: {error}",
            way_out="Change it, for example trainer.accelerator=cpu.",
        ) from error


def num_ranks(config: TrainConfig | DistillConfig) -> int:
    """How many ranks share a training; with the batch size of each, they decide what it learns."""
    devices = config.trainer.devices
    if isinstance(devices, int) and devices > 0:
        return devices * config.trainer.num_nodes
    trainer = build_trainer(config)
    return trainer.num_devices * trainer.num_nodes


def build_scoring_trainer(config: TrainConfig | DistillConfig) -> Trainer:
    """A trainer of this process alone, whatever the ranks of a training: no sample is scored twice."""
    return build_trainer(config, devices=1, num_nodes=1, strategy="auto")


def build_targets(group: str, nodes: dict[str, Any], kind: type[Callback] | type[Logger]) -> list[Any]:
    """The objects of ``callbacks`` or ``logger``; an entry that cannot be built is refused, not skipped."""
    check_targets(group, nodes, kind)
    made = []
    for name, node in nodes.items():
        try:
            made.append(hydra.utils.instantiate(node))
        except InstantiationException as error:
            raise _not_accepted(f"{group}.{name}", node, error.__cause__ or error) from error
        if not isinstance(made[-1], kind):
            raise _another_kind(f"{group}.{name}", type(made[-1]), kind)
    return made


def check_targets(group: str, nodes: dict[str, Any], kind: type[Callback] | type[Logger]) -> None:
    """Refuse an entry of ``callbacks`` or ``logger`` that names no class, or one that is not there or of another kind.

    Nothing is built: a logger may begin to write, or to speak to a server, when it is.
    """
    if not isinstance(nodes, dict):
        raise ArgumentTypeError(
            group,
            rule="map names to entries with a `_target_`",
            got=repr(nodes),
            way_out=f"Set +{group}.mine._target_=my_package.MyClass, or {group}=none.",
        )
    for name, node in nodes.items():
        if not isinstance(node, dict) or "_target_" not in node:
            raise ArgumentValueError(
                f"{group}.{name}",
                rule="have a `_target_`, the class to build",
                got=repr(node),
                way_out=f"Name the class, or remove the entry with ~{group}.{name}.",
            )
        try:
            target = hydra.utils.get_object(node["_target_"])
        except Exception as error:
            raise ArgumentValueError(
                f"{group}.{name}._target_",
                rule="be the full name of a class",
                got=f"{node['_target_']!r}: {error}",
                way_out="Correct it, or install what it belongs to.",
            ) from error
        if not callable(target) or (isinstance(target, type) and not issubclass(target, kind)):
            raise _another_kind(f"{group}.{name}", target if isinstance(target, type) else type(target), kind)
        _check_arguments(f"{group}.{name}", node, target)


def _check_arguments(name: str, node: dict[str, Any], target: Callable[..., Any]) -> None:
    """Refuse settings that the class has no argument for, and arguments without a setting."""
    # Names like this are Hydra's own.
    settings = {key: value for key, value in node.items() if not (key.startswith("_") and key.endswith("_"))}
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        # Not every class says what it takes.
        return
    try:
        (signature.bind_partial if node.get("_partial_") else signature.bind)(*node.get("_args_", ()), **settings)
    except TypeError as error:
        raise _not_accepted(name, node, error) from error


def _not_accepted(name: str, node: dict[str, Any], error: BaseException) -> ArgumentValueError:
    return ArgumentValueError(
        name,
        rule="have settings that its `_target_` accepts",
        got=f"{node}: {str(error).rstrip('.')}",
        way_out="Correct them.",
    )


def _another_kind(name: str, found: type, kind: type[Callback] | type[Logger]) -> ArgumentTypeError:
    return ArgumentTypeError(
        name, rule=f"be a Lightning {kind.__name__}", got=found.__name__, way_out="Correct its `_target_`."
    )
