from __future__ import annotations

import os
import time
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
from lt_callbacks.apps.shared.preemption import Preempted, Preemption

#: Steps between two looks of several ranks at whether one of them was asked to stop.
_STEPS_BETWEEN_LOOKS = 10


class WholeFile(TorchCheckpointIO):
    """Checkpoints that are there as a whole or not at all; nothing but tensors and plain values is unpickled."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint beside the old file, then put it in its place."""
        from io import BytesIO

        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(path, buffer.getvalue())

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
    ) -> None:
        self.folder = folder
        self.every_seconds, self.every_n_steps = every_seconds, every_n_steps
        self.preemption = preemption
        self._seconds_before = 0.0
        self._started = self._last = time.monotonic()

    @property
    def path(self) -> Path:
        """Where the checkpoint is, or would be."""
        return self.folder / "last.ckpt"

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

    def _stop(self, trainer: Trainer) -> None:
        self._save(trainer)
        raise Preempted(f"asked to stop in epoch {trainer.current_epoch + 1}, after step {trainer.global_step}")

    def state_dict(self) -> dict[str, Any]:
        """How long the training took so far, which a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting the time from where the checkpoint was."""
        self._seconds_before, self._started = state_dict["seconds"], time.monotonic()

    def _save(self, trainer: Trainer) -> None:
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
