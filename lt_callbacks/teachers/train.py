from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lt_callbacks._checks import integer, one_of
from lt_callbacks.objectives import OBJECTIVES, Objective, build_objective
from lt_callbacks.teachers.description import describe_training
from lt_callbacks.teachers.frozen import ModuleTeacher
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.store import TeacherStore
from lt_callbacks.teachers.training_data import TrainingData, training_data

#: Where trained teachers are kept when nothing else is said.
DEFAULT_STORE = Path("~/.cache/lt_callbacks/teachers")


def train_teachers(
    module: Callable[[], LightningModule],
    datamodule: LightningDataModule,
    *,
    imbalance: str = "logit_adjustment",
    noise: str = "elr",
    imbalance_settings: Mapping[str, Any] | None = None,
    noise_settings: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
    seed: int = 0,
    store: str | os.PathLike[str] | None = DEFAULT_STORE,
    fingerprint: str | None = None,
) -> tuple[ModuleTeacher, ModuleTeacher]:
    """Train the two weak teachers with a user's own module and data; stored, and reused the next time.

    The module gives the network (its ``forward`` must return logits) and the optimiser; its own loss is replaced by
    the objective.

    Args:
        module: The class, or any function without arguments that makes a fresh module.
        datamodule: Its training batches start with (image, given_label); an index as third item is used, or added.
        imbalance: Objective of the imbalance-robust teacher f_L, a name in ``OBJECTIVES``.
        noise: Objective of the noise-robust teacher f_N.
        imbalance_settings: Settings of that objective, such as ``{"tau": 1.5}``.
        noise_settings: Likewise.
        trainer: Arguments of ``lightning.Trainer``, such as ``{"max_epochs": 30}``. Each teacher is trained on one
            device. Where a script runs in several ranks, one of them trains and the others wait and load it; that needs
            a store.
        seed: Of the teachers' training; the caller's random state is left as it was.
        store: Folder of trained teachers; None: train anew and keep nothing.
        fingerprint: Identity of the training data. None: the datamodule's ``fingerprint``, or one computed from
            datasets of a known kind; where there is none, teachers are not stored and a warning says so.

    Returns:
        The imbalance-robust teacher f_L and the noise-robust teacher f_N.

    Raises:
        TypeError, ValueError: A setting is wrong, or the batches do not hold what is needed.

    Example:
        f_L, f_N = train_teachers(MyNet, datamodule, trainer={"max_epochs": 30})
    """
    if not callable(module) or isinstance(module, LightningModule):
        raise _no_factory(type(module).__name__)
    for argument, name, settings in (("imbalance", imbalance, imbalance_settings), ("noise", noise, noise_settings)):
        one_of(argument, name, OBJECTIVES)
        # Made here only so that a wrong setting is refused before any training.
        build_objective(name, settings=settings)
    integer("seed", seed, at_least=0, at_most=2**32 - 1)

    options = one_device(trainer or {})
    # Not seeded: a split that the datamodule draws is the caller's own.
    with isolate_rng():
        data = training_data(datamodule)
    identity = fingerprint or data.fingerprint
    if store is not None and identity is None:
        warnings.warn(
            "The teachers are trained but not stored: the data has no `fingerprint`. Pass `fingerprint=`, or give the "
            "datamodule that attribute.",
            stacklevel=2,
        )
    keep = TeacherStore(Path(store).expanduser()) if store is not None and identity is not None else None

    def train(name: str, settings: Mapping[str, Any] | None) -> ModuleTeacher:
        with isolated_seed(seed):
            network = _fresh(module)
            objective = build_objective(name, settings=settings)

            def fit(_: Any) -> None:
                _fit(network, objective, data, options)

            if keep is None:
                fit(network)
            else:
                described = describe_training(
                    network,
                    objective=name,
                    objective_settings=settings or {},
                    trainer=options,
                    batch_size=data.batch_size,
                    seed=seed,
                )
                keep.get_or_train(network, settings=described, fingerprint=str(identity), train=fit)
        return ModuleTeacher(network, num_classes=data.num_classes)

    return train(imbalance, imbalance_settings), train(noise, noise_settings)


def _no_factory(got: str) -> TypeError:
    return TypeError(
        f"`module` must be a class or function that makes a fresh LightningModule; got {got}. Pass the class itself, "
        "or `lambda: MyNet(...)`."
    )


def _fresh(module: Callable[[], LightningModule]) -> LightningModule:
    network = module()
    if not isinstance(network, LightningModule):
        raise _no_factory(f"one that makes a {type(network).__name__}")
    return network


def one_device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's arguments, for a fit that no other rank takes part in.

    Raises:
        ValueError: Several devices are asked for.
    """
    asked = {name: trainer[name] for name in ("devices", "num_nodes") if name in trainer}
    chosen = asked.get("devices", 1)
    is_one = chosen in (1, "1", "auto") or (isinstance(chosen, list) and len(chosen) == 1)
    if not is_one or asked.get("num_nodes", 1) != 1:
        raise ValueError(
            f"`trainer` must leave `devices` and `num_nodes` at 1, since one process trains a teacher; got {asked}. "
            "Train on several devices with `lt-train trainer.devices=...`, or give DSink networks trained by yourself."
        )
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if not isinstance(chosen, list):
        # Ranks of a launcher share the machine's GPUs.
        has_own = trainer.get("accelerator") != "cpu" and torch.cuda.device_count() > local_rank
        chosen = [local_rank] if has_own else 1
    # A launcher's variables speak of all its ranks, which this trainer is not one of.
    plugins = [*_listed(trainer.get("plugins")), _Alone()]
    return {**trainer, "devices": chosen, "num_nodes": 1, "strategy": "auto", "plugins": plugins}


def _listed(plugins: Any) -> list[Any]:
    return [] if plugins is None else list(plugins) if isinstance(plugins, list | tuple) else [plugins]


class _Alone(LightningEnvironment):
    """One process, whatever the variables say."""

    @property
    def creates_processes_externally(self) -> bool:
        return False

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0


def _fit(network: LightningModule, objective: Objective, data: TrainingData, options: dict[str, Any]) -> None:
    defaults = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = Trainer(**{**defaults, **options})
    loader = data.loader(objective.needs_index)
    # A process group that is there already is the caller's: the other ranks wait at the store, not in this fit.
    objective.spans_ranks = False
    objective.prepare(
        class_counts=data.class_counts, num_samples=data.num_samples, max_epochs=max(int(trainer.max_epochs or 1), 1)
    )
    trainer.fit(TeacherTraining(network=network, objective=objective), train_dataloaders=loader)


class TeacherTraining(LightningModule):
    """Trains another module's network with its own optimiser on another objective.

    Args:
        network: Gives ``forward`` and ``configure_optimizers``.
        objective: What is minimised; prepared.
    """

    def __init__(self, *, network: LightningModule, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def setup(self, stage: str) -> None:
        """The network's own set-up."""
        self.network.setup(stage)

    def forward(self, images: Tensor) -> Any:
        """The network's logits."""
        return self.network(images)

    def on_train_epoch_start(self) -> None:
        """Tells the objective the epoch."""
        self.objective.set_epoch(self.current_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The objective on one batch."""
        logits = self(batch[0])
        if not isinstance(logits, torch.Tensor):
            raise TypeError(
                f"`forward` of {type(self.network).__name__} must return logits (B, C) to train a teacher with; got "
                f"{type(logits).__name__}. Pass a function that makes a module whose `forward` does."
            )
        # A third item that is no index, such as file names, is none of an objective's business that needs none.
        return self.objective(logits, batch[1], batch[2] if self.objective.needs_index else None)

    def configure_optimizers(self) -> Any:
        """The network's own optimisers."""
        return self.network.configure_optimizers()
