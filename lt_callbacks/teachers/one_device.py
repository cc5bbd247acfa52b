from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


def one_device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``lightning.Trainer`` for a fit on one device, which no other rank takes part in.

    Args:
        trainer: Those that the user gave.

    Raises:
        TypeError: Not a mapping.
        ValueError: Several devices are asked for, or gradients are clipped at what is no norm.
    """
    if not isinstance(trainer, Mapping):
        raise ArgumentTypeError(
            "trainer",
            rule="be a mapping of arguments, since each teacher gets a trainer of its own",
            got=type(trainer).__name__,
            way_out='Pass `trainer={"max_epochs": 30}`.',
        )
    if trainer.get("gradient_clip_val") is not None:
        # Lightning takes NaN, which turns all weights into NaN, and a negative norm, which climbs.
        hint = "None or 0 turns the clipping off."
        real("trainer['gradient_clip_val']", trainer["gradient_clip_val"], at_least=0.0, hint=hint)
    asked = {name: trainer[name] for name in ("devices", "num_nodes") if name in trainer}
    chosen = asked.get("devices", 1)
    is_one = chosen in (1, "1", "auto") or (isinstance(chosen, list) and len(chosen) == 1)
    if not is_one or asked.get("num_nodes", 1) != 1:
        raise ArgumentValueError(
            "trainer",
            rule="leave `devices` and `num_nodes` at 1, since one process trains a teacher",
            got=str(asked),
            way_out="Train on several devices with `lt-train trainer.devices=...`, or give DSink networks trained by "
            "yourself.",
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
