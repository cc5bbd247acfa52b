"""Checks of the settings that all commands have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.data import Source


def check_run(config: TrainConfig | DistillConfig, *, num_roles: int) -> None:
    """Refuse seeds, epochs and threads that no command can run with.

    Args:
        config: The settings.
        num_roles: Networks of a seed that start from different numbers.
    """
    integer("num_seeds", config.num_seeds, at_least=1)
    # Generators take 32 bits.
    integer("seed", config.seed, at_least=0, at_most=2**32 // num_roles - 1 - config.num_seeds)
    integer("trainer.max_epochs", config.trainer.max_epochs, at_least=1)
    if config.trainer.gradient_clip_val is not None:
        hint = "It is the largest norm of the gradients; null or 0 turns the clipping off."
        real("trainer.gradient_clip_val", config.trainer.gradient_clip_val, at_least=0.0, hint=hint)
    if config.model.compile and not isinstance(config, TrainConfig):
        raise ArgumentValueError(
            "model.compile",
            rule="be false here, where networks are looked into while images are made",
            got="true",
            way_out="Set model.compile=false.",
        )
    if config.threads is not None:
        integer("threads", config.threads, at_least=1)


def check_methods(methods: list[str], recipes: Mapping[str, Any]) -> None:
    """Refuse unknown rows and repeated ones."""
    for method in methods:
        one_of("methods", method, recipes)
    if not methods or len(set(methods)) < len(methods):
        raise ArgumentValueError(
            "methods", rule="name each row of the table once", got=str(methods), way_out="Give at least one."
        )


def check_test_set(source: Source) -> None:
    """Refuse data that nothing can be scored on."""
    if source.test is None:
        raise ArgumentValueError(
            "data",
            rule="have a test set, which the table is made of",
            got=f"{source.name!r}, which has none",
            way_out="Add one to the folder, or set data.test_csv.",
        )
