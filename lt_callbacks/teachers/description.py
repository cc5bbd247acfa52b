from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lightning.pytorch import LightningModule

from lt_callbacks._errors import StateError
from lt_callbacks.teachers.store import TeacherStore

#: Arguments of a Lightning trainer that decide what is learnt, each a field of `TrainingDescription`; the other
#: arguments say where a training runs and what is shown of it.
TRAINER_FIELDS = (
    "accumulate_grad_batches",
    "fast_dev_run",
    "gradient_clip_algorithm",
    "gradient_clip_val",
    "limit_train_batches",
    "max_epochs",
    "max_steps",
    "max_time",
    "min_epochs",
    "min_steps",
    "overfit_batches",
    "precision",
)


@dataclass(frozen=True, kw_only=True)
class TrainingDescription:
    """Everything known that decides the weights of a trained network: equal descriptions share one stored network.

    Whoever trains a network for a store describes it by this one definition: `lt-train` and `lt-distill` by their
    settings, `train_teachers` by what can be read off the user's module, loader and trainer. A field is None where it
    does not apply or nothing was said of it; it is then left out of the key, so that a field which is added later
    leaves the keys of before as they are.

    Left out on purpose is what says where and how fast a network is trained and not what it learns: paths, versions,
    accelerator, worker processes, ``torch.compile``, ``deterministic``. A module's code cannot be known.

    Attributes:
        data: SHA-256 of images, given labels, held-out share and, for this package's data, views and sampling; None
            where the data has no identity, and the network cannot be stored.
        model: Name of the network, as `lt_callbacks.models.build_model` takes it.
        width: Channels of its first stage.
        module: A user's module instead, see `describe_module`.
        channels_last: Whether images and weights are kept in channels-last memory format.
        objective: A name in `lt_callbacks.objectives.OBJECTIVES`.
        objective_settings: Those that were given.
        optimisation: Fields of `lt_callbacks.methods.Optimisation`; None for a module that brings its own.
        batch_size: Training samples a step on each rank.
        num_ranks: Ranks that share the training.
        sampling: How a user's loader draws, see `lt_callbacks.teachers.loader_description`.
        transforms: What a user's dataset does to its samples, likewise.
        start_seed: The global generators start from it: the first weights, dropout, and a user's order of samples.
        data_seed: Of order and augmentation where the data has a seed of its own.
        max_epochs: Epochs of the training; this and the following fields are a Lightning trainer's arguments.
        min_epochs: Least epochs.
        max_steps: Most steps.
        min_steps: Least steps.
        max_time: Longest time, as text.
        limit_train_batches: Share or number of the batches of an epoch.
        overfit_batches: Share or number of the batches that are trained on again and again.
        fast_dev_run: Whether, or for how many batches, the training is a trial.
        accumulate_grad_batches: Batches of one optimiser step.
        gradient_clip_val: Where gradients are cut off.
        gradient_clip_algorithm: By value or by norm.
        precision: Of the arithmetic.
        callbacks: Names of the kinds of a user's callbacks.
        plugins: Names of the kinds of a user's plug-ins, which may set a precision too.
        pipeline: What of a user's own hooks takes part, see `lt_callbacks.teachers.pipeline_description`.
    """

    data: str | None
    objective: str
    objective_settings: Mapping[str, Any]
    start_seed: int
    model: str | None = None
    width: int | None = None
    module: Mapping[str, Any] | None = None
    channels_last: bool | None = None
    optimisation: Mapping[str, Any] | None = None
    batch_size: int | None = None
    num_ranks: int = 1
    sampling: Mapping[str, Any] | None = None
    transforms: list[str] | None = None
    data_seed: int | None = None
    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int | None = None
    min_steps: int | None = None
    max_time: str | None = None
    limit_train_batches: int | float | None = None
    overfit_batches: int | float | None = None
    fast_dev_run: int | bool | None = None
    accumulate_grad_batches: int | None = None
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str | None = None
    precision: int | str | None = None
    callbacks: list[str] | None = None
    plugins: list[str] | None = None
    pipeline: Mapping[str, Any] | None = None

    def settings(self) -> dict[str, Any]:
        """The fields that were set, without the data, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "data"}

    @property
    def key(self) -> str:
        """64 hexadecimal digits, the network's place in a `TeacherStore`.

        Raises:
            StateError: The data has no identity.
        """
        if self.data is None:
            raise StateError("A network cannot be stored whose training data has no identity. Give it a `fingerprint`.")
        return TeacherStore.key(self.settings(), self.data)


def describe_module(network: LightningModule) -> dict[str, Any]:
    """Class, layers, plain attributes, hyperparameters and shapes of a user's fresh module, as JSON values.

    A module's code cannot be known; its layers, its plain attributes (numbers, texts and lists or mappings of them) and
    its saved hyperparameters say most of it.
    """
    of_every_module = vars(LightningModule())
    plain = {
        name: value
        for name, value in vars(network).items()
        if _is_plain(value) and not name.startswith("_") and name not in of_every_module
    }
    return {
        "class": f"{type(network).__module__}.{type(network).__qualname__}",
        "layers": as_text(network),
        "attributes": {name: as_text(value) for name, value in plain.items()},
        "hyperparameters": {name: as_text(value) for name, value in dict(network.hparams).items()},
        "shapes": {name: list(value.shape) for name, value in network.state_dict().items()},
    }


def describe_trainer(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `TrainingDescription` that a user's arguments of ``lightning.Trainer`` decide."""
    fields = {name: _as_json(trainer[name]) for name in TRAINER_FIELDS if trainer.get(name) is not None}
    kinds = {name: [_kind(each) for each in _listed(trainer.get(name))] for name in ("callbacks", "plugins")}
    return {**fields, **{name: found for name, found in kinds.items() if found}}


def as_text(value: object) -> str:
    """``repr`` without memory addresses, which differ in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _kind(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__


def _listed(values: Any) -> list[Any]:
    return [] if values is None else list(values) if isinstance(values, list | tuple) else [values]


def _as_json(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else as_text(value)


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(each) for each in (*value.keys(), *value.values()))
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, int | float | str)
