from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from lightning.fabric.utilities.data import sized_len
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import IterableDataset

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._ranks import all_ranks, share_lengths

# What a rank says of a batch where nobody knows how many there are: more follow, it is the last, there was none.
_MORE, _LAST, _NONE = range(3)
_UNKNOWN = -1


class BatchAgreement(Callback):
    """Stops one fit where a rank has more training batches than another, on all ranks alike.

    Ranks exchange gradients in each step: the rank with more batches would wait for the others for ever, and they would
    end as if all were well. Lengths that the loaders know are compared before the first step, and again where loaders
    are made anew. Of data without a length, such as an iterable data set, the ranks tell each other before each step
    whether it is the last: between hosts, so that no host waits for its device.

    Not seen: a loader whose ``len`` is not the number of batches that it gives.

    Raises:
        ValueError: Numbers of batches differ.
    """

    def __init__(self) -> None:
        self._is_compared = self._is_sized = False
        self._num_batches, self._has_ended = 0, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares the numbers of batches of an epoch, before the first step."""
        self._compare(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compares them again where the loaders may be new."""
        self._num_batches, self._has_ended = 0, False
        if trainer.reload_dataloaders_every_n_epochs:  # type: ignore[attr-defined]  # set by a connector of Lightning's
            self._compare(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Where no length is known, asks whether this batch is the last on all ranks or on none."""
        if self._is_sized:
            return
        self._has_ended = trainer.is_last_batch
        self._say(_LAST if self._has_ended else _MORE)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Speaks for a rank whose batches ended before it knew, for which the others wait."""
        if not self._is_sized and not self._has_ended:
            self._say(_NONE)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Speaks for a rank whose fit was over before it began."""
        if not self._is_compared:
            self._is_compared = True
            check_same_batches(0, "batches of an epoch", {})

    def _say(self, word: int) -> None:
        self._num_batches += 1
        names = {_MORE: "followed by others", _LAST: "the last", _NONE: "not there"}
        check_same_batches(word, f"batch {self._num_batches} of the epoch", names)

    def _compare(self, trainer: Trainer) -> None:
        self._is_compared = True
        self._is_sized = is_sized(trainer.train_dataloader)
        num_batches = trainer.num_training_batches
        known = int(num_batches) if self._is_sized and math.isfinite(num_batches) else _UNKNOWN
        check_same_batches(known, "batches of an epoch", {_UNKNOWN: "an unknown number"})


def is_sized(loaders: Any) -> bool:
    """Whether the length of every loader is known; an iterable data set's own word for it is not taken."""
    flattened: Iterable[Any] = CombinedLoader(loaders).flattened
    return all(
        sized_len(loader) is not None and not isinstance(getattr(loader, "dataset", None), IterableDataset)
        for loader in flattened
    )


def check_same_batches(own: int, what: str, names: dict[int, str]) -> None:
    """Raise on all ranks alike unless all of them say the same of their batches; every rank must call this.

    Args:
        own: What this rank says.
        what: It is said of.
        names: How words are shown that are no numbers.

    Raises:
        ValueError: They differ.
    """
    group = all_ranks()
    if group is None:
        return
    said = share_lengths(own, group)
    least, most = min(said), max(said)
    if least == most:
        return
    first, second = sorted((said.index(least), said.index(most)))
    told = [f"{names.get(said[rank], said[rank])} on rank {rank}" for rank in (first, second)]
    raise ArgumentValueError(
        "train_dataloader",
        rule="give as many batches to every rank, since ranks exchange gradients in each step",
        got=f"{what}: {told[0]}, {told[1]}",
        way_out="Set `Trainer(limit_train_batches=N)` to the smallest number, or deal the samples out evenly, as "
        "`LongTailedDataModule` and `DistributedSampler` do.",
    )
