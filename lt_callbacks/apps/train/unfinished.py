from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from lt_callbacks._errors import DataError
from lt_callbacks._files import write_bytes
from lt_callbacks._ranks import all_ranks
from lt_callbacks._tensor_file import nonfinite_entry, read_torch_file
from lt_callbacks.apps.shared.disk_failure import is_disk_failure
from lt_callbacks.apps.shared.preemption import Preempted, Preemption

#: In the folder of a training.
CHECKPOINT = "last.ckpt"

#: Steps between two looks of several ranks at whether one of them was asked to stop.
_STEPS_BETWEEN_LOOKS = 10


class WholeFile(TorchCheckpointIO):
    """Checkpoints that are there as a whole or not at all; nothing but tensors and plain values is unpickled.

    Args:
        on_failure: Told of a disk that refuses a checkpoint, in place of an error; None: it is an error. Only the rank
            that writes hears of it, and goes on to where the others wait for it.
    """

    def __init__(self, *, on_failure: Callable[[OSError], None] | None = None) -> None:
        self.on_failure = on_failure

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint beside the old file, then put it in its place."""
        from io import BytesIO

        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        try:
            write_bytes(path, buffer.getvalue())
        except OSError as error:
            if self.on_failure is None or not is_disk_failure(error):
                raise
            self.on_failure(error)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The content of a checkpoint, its tensors on the CPU.

        Raises:
            ValueError: The file is damaged, or a weight or a number of the optimizer is not finite.
        """
        try:
            content: dict[str, Any] = read_torch_file(Path(path))
        # A truncated file raises errors of several kinds, none of which names it.
        except Exception as error:
            why = str(error) if isinstance(error, DataError) else f"reading it gave {type(error).__name__}"
            raise _refused(path, f"as it was written; {why}") from error
        if not isinstance(content, dict):
            raise _refused(path, f"a checkpoint; it holds a {type(content).__name__}")
        # Callbacks may keep infinities on purpose, such as the best loss so far.
        nonfinite = nonfinite_entry({name: content.get(name) for name in ("state_dict", "optimizer_states")})
        if nonfinite:
            raise _refused(path, f"of a training whose numbers are finite; it has {nonfinite}")
        return content


def _refused(path: Any, why: str) -> DataError:
    return DataError(f"The checkpoint {os.fspath(path)!r} must be {why}. Delete it, and the training begins anew.")


class UnfinishedTraining(Checkpoint):
    """Keeps the last checkpoint of a training until it is finished, and saves one when the training is asked to stop.

    Args:
        folder: For this training alone.
        every_seconds: At the end of an epoch, save where so many seconds went by since the last time; 0: always; None:
            only when asked to stop.
        every_n_steps: Also save within epochs that are long; None: no.
        preemption: Whether the training was asked to stop.
        say: Tells a person; None: standard error.

    A disk that refuses a checkpoint does not end the training, see `could_not_save`.

    Attributes:
        seconds: That the training took so far, over all its runs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_seconds: float | None,
        every_n_steps: int | None,
        preemption: Preemption,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.say = say or _to_standard_error
        self._failure: OSError | None = None
        self._has_failed = False
        self.every_seconds, self.every_n_steps = every_seconds, every_n_steps
        self.preemption = preemption
        self._seconds_before = 0.0
        self._started = self._last = time.monotonic()

    @property
    def path(self) -> Path:
        """Where the checkpoint is, or would be."""
        return self.folder / CHECKPOINT

    @property
    def seconds(self) -> float:
        """Wall time that the training took so far, over all its runs."""
        return self._seconds_before + time.monotonic() - self._started

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves where the training was asked to stop, and stops it."""
        # The epoch's last step waits for its end: resumed in between, the epoch would lack its validation.
        if trainer.is_last_batch:
            return
        if self._must_stop(trainer, batch_idx):
            self._stop(trainer)
        if self._is_due_step(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves and stops where the training was asked to, and saves now and then."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            return
        if self._must_stop(trainer, 0):
            self._stop(trainer)
        is_late = self.every_seconds is not None and time.monotonic() - self._last >= self.every_seconds
        # One clock decides for all ranks.
        if trainer.strategy.broadcast(is_late) or self._is_due_step(trainer):
            self._save(trainer)

    def _is_due_step(self, trainer: Trainer) -> bool:
        return self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0

    def could_not_save(self, error: OSError) -> None:
        """Take note that a checkpoint was refused, and say so the first time; see `WholeFile`.

        The training goes on: it may well reach its end, which needs no checkpoint, and the disk may have room again
        by the next one. To end it would lose for certain what the checkpoint would have kept.
        """
        self._failure = error
        if not self._has_failed:
            self._has_failed = True
            self.say(
                f"The checkpoint {str(self.path)!r} could not be written: {error.strerror}. The training goes on; if "
                "it is stopped, it begins again where its last checkpoint was. Make room there."
            )

    def _stop(self, trainer: Trainer) -> None:
        self._save(trainer)
        lost = "" if self._failure is None else f"; its checkpoint could not be written: {self._failure.strerror}"
        raise Preempted(f"asked to stop in epoch {trainer.current_epoch + 1}, after step {trainer.global_step}{lost}")

    def state_dict(self) -> dict[str, Any]:
        """How long the training took so far, which a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting the time from where the checkpoint was."""
        self._seconds_before, self._started = state_dict["seconds"], time.monotonic()

    def _save(self, trainer: Trainer) -> None:
        self._failure = None
        trainer.save_checkpoint(self.path)
        self._last = time.monotonic()

    def _must_stop(self, trainer: Trainer, batch_idx: int) -> bool:
        group = all_ranks()
        if group is None:
            return self.preemption.is_requested
        if batch_idx % _STEPS_BETWEEN_LOOKS:
            return False
        # On the device of the ranks' messages, a sum is the same on all of them; a signal may have reached only one.
        flag = torch.tensor(int(self.preemption.is_requested), device=trainer.strategy.root_device)
        dist.all_reduce(flag, group=group)
        return bool(flag)


def _to_standard_error(text: str) -> None:
    sys.stderr.write(f"{text}\n")
