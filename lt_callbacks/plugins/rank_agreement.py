from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._ranks import all_ranks
from lt_callbacks.plugins.batch_agreement import BatchAgreement
from lt_callbacks.plugins.rank_watch import RankWatch


class RankAgreement(Callback):
    """Stops a fit before its first step where the ranks were started with different settings, or have unequal batches.

    Ranks that compose their own settings can differ without a word: under a Hydra multirun that Lightning or torchrun
    re-launches, each rank walks its own copy of the sweep, and one process group trains two experiments with exit code
    0. All ranks compare what they were told, and all of them raise the same error. They compare how many training
    batches they have too, and a rank that fails later tells the others why, who end with its message.

    Args:
        facts: What must be equal on all ranks, as values that JSON holds; nested mappings are named with dots. Such as
            ``OmegaConf.to_container(config, resolve=True)``.

    Raises:
        ValueError: In ``setup``, on all ranks: names the first entry that differs, and two ranks' values. When the
            training starts, on all ranks: they have different numbers of batches.

    Example:
        Trainer(devices=2, callbacks=[RankAgreement(dict(config))])
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        if not isinstance(facts, Mapping):
            raise ArgumentTypeError("facts", rule="be a mapping of what must agree", got=type(facts).__name__)
        try:
            self.facts: dict[str, Any] = json.loads(json.dumps(dict(facts)))
        except (TypeError, ValueError) as error:
            kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentValueError
            raise kind(
                "facts",
                rule="hold only what JSON can (numbers, text, lists, mappings)",
                got=f"{facts!r}: {error}",
                way_out="Convert the others, for example with `str`.",
            ) from error

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compares, before anything is trained, tested or predicted."""
        check_ranks_agree(self.facts)
        watch_ranks(trainer)


def watch_ranks(trainer: Trainer) -> None:
    """Have the ranks of a fit stop together, also where one fails; every rank must call this.

    The callbacks that do it stand first, before those that save something when a fit fails, and are gone after it. A
    second call in one fit changes nothing.
    """
    # A trainer of one device shares nothing with the ranks of a group that it happens to run in.
    if all_ranks() is None or trainer.world_size == 1:
        return
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning's
    if any(isinstance(callback, RankWatch) for callback in callbacks):
        return
    batches = BatchAgreement()
    watch = RankWatch(companion=batches)
    watch.start()
    trainer.callbacks = [watch, batches, *callbacks]  # type: ignore[attr-defined]


def check_ranks_agree(facts: Mapping[str, Any]) -> None:
    """Raise on all ranks alike unless the facts, JSON values, are equal on all of them; every rank must call this.

    Raises:
        ValueError: They differ.
    """
    group = all_ranks()
    if group is None:
        return
    everyone: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(everyone, _flat(facts), group=group)
    reference = everyone[0]
    for rank, other in enumerate(everyone):
        for name in {**reference, **other}:
            expected, got = reference.get(name, "nothing"), other.get(name, "nothing")
            if expected != got:
                raise ArgumentValueError(
                    name,
                    rule="be equal on all ranks of one training",
                    got=f"{expected!r} on rank 0, {got!r} on rank {rank}",
                    way_out="Give every rank the same settings: start each job as one process, which starts its own "
                    "ranks, and sweep with `lt-train -m`, which does.",
                )


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found
