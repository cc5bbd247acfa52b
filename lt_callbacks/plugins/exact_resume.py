from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks._errors import StateError
from lt_callbacks.plugins.logged_so_far import LoggedSoFar
from lt_callbacks.plugins.rank_states import of_all_ranks, rank_and_size


class ExactResume(Callback):
    """Saves the random generators of every rank with each checkpoint, so that a resumed run draws what it would have.

    Lightning saves weights, optimisers and loops, but no generator: dropout and random augmentation in the training
    process go on differently after a resume. With this callback, the data order of a `LongTailedDataModule` (a function
    of seed and epoch) and a deterministic trainer, a run that is killed anywhere and resumed from its last checkpoint
    ends with the weights of the run that was not. So do the epoch's means of what is logged in its steps, which
    Lightning begins anew where a run goes on within an epoch.

    What draws between two batches (a validation, an iterator that is opened) leaves no trace: the generators of Python,
    NumPy and torch, on the CPU and the training device, continue at the next batch where the last one left them.

    State in the checkpoint: one entry a rank, under the callback's own key. Resume with as many ranks.
    """

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None
        self._is_due = False
        self._logged = LoggedSoFar()
        # While an epoch is under way.
        self._trainer: Trainer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets a fit before, which may have failed; a checkpoint is loaded later."""
        self._state, self._is_due = None, False
        self._logged, self._trainer = LoggedSoFar(), None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts from the saved generators, or from those that are there."""
        if self._state is None:
            self._state = _generators()
        else:
            _set_generators(self._state)
        self._logged.restore_metrics(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first batch is made, and then trained on, from where the last one left the generators."""
        if self._state is not None:
            _set_generators(self._state)
        # The loader's iterator may draw.
        self._is_due = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Continues where the last batch left off."""
        if self._is_due and self._state is not None:
            _set_generators(self._state)
        self._is_due = False
        # Of callbacks that come after this one.
        self._logged.go_on(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remembers where the generators are."""
        self._state = _generators()
        self._logged.go_on(trainer)
        self._trainer = trainer

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the generators back: what a validation draws is not the training's."""
        if self._state is not None and not trainer.sanity_checking:
            _set_generators(self._state)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch's means are made: a checkpoint of here has none to go on with."""
        self._logged.go_on(trainer)
        self._trainer = None

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets the generators: the next fit starts from those that it finds."""
        self._state = None

    def state_dict(self) -> dict[str, Any]:
        """The random generators of all ranks; every rank must call this, as each does when a trainer saves."""
        if self._state is None:
            return {}
        return {"ranks": of_all_ranks({**self._state, "logged": self._logged.state(self._trainer)})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues with the generators that this rank had.

        Raises:
            RuntimeError: The checkpoint was saved with another number of ranks.
        """
        states = state_dict.get("ranks")
        if states is None:
            return
        rank, num_ranks = rank_and_size()
        if len(states) != num_ranks:
            raise StateError(
                f"The checkpoint must be of as many ranks as resume it, {num_ranks}; it was saved by {len(states)}. "
                "Resume with the same number of devices, or without ExactResume."
            )
        self._state = {name: value for name, value in states[rank].items() if name != "logged"}
        self._logged = LoggedSoFar(states[rank].get("logged"))


def _generators() -> dict[str, Any]:
    """States as plain values and tensors, which ``torch.load(weights_only=True)`` reads."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    # as int64: torch 2.4 knows no uint32
    words = np.asarray(keys).astype(np.int64)
    state = {
        "python": random.getstate(),
        "numpy": (
            str(kind),
            torch.tensor(words),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_generators(state: dict[str, Any]) -> None:
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
