from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.seed import isolate_rng

from lt_callbacks._checks import as_path, integer, one_of
from lt_callbacks._errors import ArgumentError, ArgumentTypeError
from lt_callbacks.objectives import OBJECTIVES, build_objective
from lt_callbacks.teachers.batch_fields import BatchField, BatchFields
from lt_callbacks.teachers.description import TrainingDescription, describe_module, describe_trainer
from lt_callbacks.teachers.frozen import ModuleTeacher
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.one_device import one_device
from lt_callbacks.teachers.pipeline_description import describe_pipeline
from lt_callbacks.teachers.store import TeacherStore
from lt_callbacks.teachers.teacher_training import check_trainable, fit_teacher
from lt_callbacks.teachers.train_network import train_network
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
    images_from: BatchField | None = None,
    label_from: BatchField | None = None,
    index_from: BatchField | None = None,
) -> tuple[ModuleTeacher, ModuleTeacher]:
    """Train the two weak teachers with a user's own module and data; stored, and reused the next time.

    The module's ``training_step`` is replaced by one with the objective's loss; its ``forward`` must return logits. All
    else is the user's own training: the optimiser and its step, the schedule with what it monitors, the hooks of module
    and datamodule, so that a teacher is trained on the images that the model sees, and the validation. One hook is left
    out, ``on_train_epoch_end``, which works with what the user's step collected.

    Args:
        module: The class, or any function without arguments that makes a fresh module.
        datamodule: Gives the training batches, and those of the validation where it has some.
        imbalance: Objective of the imbalance-robust teacher f_L, a name in ``OBJECTIVES``.
        noise: Objective of the noise-robust teacher f_N.
        imbalance_settings: Settings of that objective, such as ``{"tau": 1.5}``.
        noise_settings: Settings of f_N's objective.
        trainer: Arguments of ``lightning.Trainer``, such as ``{"max_epochs": 30}``. Each teacher is trained on one
            device. Where a script runs in several ranks, one of them trains and the others wait and load it; that needs
            a store.
        seed: Of the teachers' training; the caller's random state is left as it was.
        store: Folder of trained teachers; None: train anew and keep nothing.
        fingerprint: Identity of the training data. None: the datamodule's ``fingerprint``, or one computed from
            datasets of a known kind; where there is none, teachers are not stored and a warning says so.
        images_from: Key or position of the images in a training batch; None: the first item.
        label_from: Key or position of the given labels; None: the second item, or the key ``"label"`` of a mapping.
        index_from: Key or position of the samples' positions in the training set, for an objective that remembers
            every sample; None: the key ``"index"`` of a mapping, or what this package's own datasets give, or positions
            that are added beside the batch. An item in third place is never taken for an index otherwise.

    Returns:
        The imbalance-robust teacher f_L and the noise-robust teacher f_N.

    Raises:
        TypeError, ValueError: A setting is wrong, the batches do not hold what is needed, or the module has several
            optimisers or optimises by hand.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningDataModule, LightningModule
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lt_callbacks import train_teachers
        >>> class MyNet(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(2, 3)
        ...     def forward(self, images):
        ...         return self.layer(images)
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> class MyData(LightningDataModule):
        ...     def train_dataloader(self):
        ...         return DataLoader(TensorDataset(torch.randn(9, 2), torch.arange(9) % 3), batch_size=4)
        >>> quiet = {"enable_progress_bar": False, "accelerator": "cpu"}
        >>> f_L, f_N = train_teachers(MyNet, MyData(), trainer={"max_epochs": 1, **quiet}, store=None)
        >>> f_N.log_probs(torch.zeros(5, 2)).shape
        torch.Size([5, 3])
    """
    if not callable(module) or isinstance(module, LightningModule):
        raise _no_factory(type(module).__name__)
    _check_objective("imbalance", imbalance, imbalance_settings)
    _check_objective("noise", noise, noise_settings)
    integer("seed", seed, at_least=0, at_most=2**32 - 1)
    root = None if store is None else as_path("store", store).expanduser()
    fields = BatchFields(images_from=images_from, label_from=label_from, index_from=index_from)
    with isolated_seed(seed):
        check_trainable(_fresh(module))

    given = trainer or {}
    options = one_device(given)
    # Not seeded: a split that the datamodule draws is the caller's own.
    with isolate_rng():
        data = training_data(datamodule, fields)
    identity = fingerprint or data.fingerprint
    if store is not None and identity is None:
        warnings.warn(
            "The teachers are trained but not stored: the data has no `fingerprint`. Pass `fingerprint=`, or give the "
            "datamodule that attribute.",
            stacklevel=2,
        )
    keep = None if root is None else TeacherStore(root)

    def trained(name: str, settings: Mapping[str, Any] | None) -> ModuleTeacher:
        found = train_network(
            lambda: _fresh(module),
            lambda network: fit_teacher(network, build_objective(name, settings=settings), data, options),
            description=_description(
                module, data, identity, objective=name, settings=settings, trainer=given, seed=seed
            ),
            store=keep,
        )
        return ModuleTeacher(found.module, num_classes=data.num_classes)

    return trained(imbalance, imbalance_settings), trained(noise, noise_settings)


def _check_objective(argument: str, name: str, settings: Mapping[str, Any] | None) -> None:
    """Refuse a wrong name or setting before any training, by the names that `train_teachers` gives them."""
    one_of(argument, name, OBJECTIVES)
    try:
        build_objective(name, settings=settings)
    except ArgumentError as error:
        place = f"{argument}_settings"
        raise error.renamed(place if error.argument == "settings" else f"{place}.{error.argument}") from error


def _description(
    module: Callable[[], LightningModule],
    data: TrainingData,
    identity: str | None,
    *,
    objective: str,
    settings: Mapping[str, Any] | None,
    trainer: Mapping[str, Any],
    seed: int,
) -> TrainingDescription:
    # Made only to be described.
    with isolated_seed(seed):
        network = _fresh(module)
    return TrainingDescription(
        data=identity,
        module=describe_module(network),
        objective=objective,
        objective_settings=dict(settings or {}),
        batch_size=data.batch_size,
        sampling=data.sampling,
        transforms=data.transforms,
        start_seed=seed,
        data_seed=data.seed,
        pipeline=describe_pipeline(network, data, trainer, needs_index=OBJECTIVES[objective].needs_index),
        **describe_trainer(trainer),
    )


def _no_factory(got: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        "module",
        rule="be a class or function that makes a fresh LightningModule",
        got=got,
        way_out="Pass the class itself, or `lambda: MyNet(...)`.",
    )


def _fresh(module: Callable[[], LightningModule]) -> LightningModule:
    network = module()
    if not isinstance(network, LightningModule):
        raise _no_factory(f"one that makes a {type(network).__name__}")
    # Lightning allows that it is called again; a stored network needs its layers before any fit.
    network.configure_model()
    return network
