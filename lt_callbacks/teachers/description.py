from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule

#: Arguments of the trainer that decide what is learnt; the others say where it runs and what is shown of it.
RELEVANT_TRAINER_OPTIONS = (
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


def describe_training(
    network: LightningModule,
    *,
    objective: str,
    objective_settings: Mapping[str, Any],
    trainer: Mapping[str, Any],
    batch_size: int | None,
    seed: int,
) -> dict[str, Any]:
    """All that can be known of what a stored teacher depends on besides the data, as JSON values.

    A module's code cannot be known; its layers, its plain attributes and saved hyperparameters say most of it.
    """
    of_every_module = vars(LightningModule())
    plain = {
        key: value
        for key, value in vars(network).items()
        if isinstance(value, int | float | str) and not key.startswith("_") and key not in of_every_module
    }
    callbacks = trainer.get("callbacks") or []
    return {
        "module": f"{type(network).__module__}.{type(network).__qualname__}",
        "layers": _text(network),
        "attributes": {key: _text(value) for key, value in plain.items()},
        "hyperparameters": {key: _text(value) for key, value in dict(network.hparams).items()},
        "shapes": {key: list(value.shape) for key, value in network.state_dict().items()},
        "objective": objective,
        "objective_settings": dict(objective_settings),
        "trainer": {key: _text(trainer[key]) for key in RELEVANT_TRAINER_OPTIONS if key in trainer},
        "callbacks": [type(each).__name__ for each in (callbacks if isinstance(callbacks, list) else [callbacks])],
        "batch_size": batch_size,
        "seed": seed,
    }


def _text(value: object) -> str:
    """``repr`` without memory addresses, which differ in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
