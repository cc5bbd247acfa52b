from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
from typing import Any, NamedTuple

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.distributed.distributed_c10d import _get_default_store

from lt_callbacks._ranks import all_ranks, share_lengths

#: Seconds between two looks at whether another rank has failed.
SECONDS_BETWEEN_LOOKS = 0.2
#: Seconds for which a rank that failed waits until the others have read why.
SECONDS_TO_BE_HEARD = 3.0
#: Seconds that a rank has for its own end once another one has failed.
SECONDS_TO_END = 60.0

_FAILED, _HEARD = "failed", "heard"


class Failure(NamedTuple):
    """Why a rank failed.

    Attributes:
        rank: Which one.
        why: Kind and text of its error.
    """

    rank: int
    why: str

    def __str__(self) -> str:
        return f"Rank {self.rank} of this training failed, and the others end with it: {self.why}"


class RankWatch(Callback):
    """Tells the other ranks of one fit why one fails, so that they end with that message, and in bounded time.

    A rank that fails leaves the others in the middle of an exchange. With gloo that ends with "connection closed by
    peer" once its process is gone; with NCCL it ends at a time-out. Here it writes its message into the store of the
    process group. A thread of each other rank looks there, without any exchange between steps; when the rank's own
    exchange breaks, the message takes the place of what the library said. A rank that is still held up a minute later
    is ended with exit code 1, as PyTorch's own watchdogs end theirs.

    Of a process that is killed there is no message.

    Args:
        companion: A callback that leaves the trainer together with this one, when the fit ends; None: none does.
    """

    def __init__(self, *, companion: Callback | None = None) -> None:
        self.companion = companion
        self.failure: Failure | None = None
        self._store: Any = None
        self._rank, self._size = 0, 1
        self._is_over = threading.Event()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen; every rank must call this."""
        group = all_ranks()
        if group is None:
            return
        # Fits of one process group follow each other: the first rank makes up a name for this one.
        name = share_lengths(secrets.randbits(62), group)[0]
        store = dist.PrefixStore(f"lt_callbacks/fit/{name}", _get_default_store())
        self.join(store, rank=dist.get_rank(group), size=dist.get_world_size(group))

    def join(self, store: dist.Store, *, rank: int, size: int) -> None:
        """Begin to listen at a store that all ranks of a fit, and no other fit, can reach.

        Args:
            store: As `torch.distributed` has them.
            rank: This one.
            size: How many there are.
        """
        self._store, self._rank, self._size = store, rank, size
        self._thread = threading.Thread(target=self._listen, daemon=True, name="rank watch")
        self._thread.start()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Tells the others, or names in the error the rank that failed before."""
        if self._store is not None and isinstance(exception, Exception):
            self._look()
            if self.failure is None:
                self._tell(exception)
            if self.failure is not None:
                name_cause(exception, self.failure)
        self._stop(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ends with the fit."""
        self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_BE_HEARD)
            self._thread = None
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning's
        gone = (self, self.companion)
        trainer.callbacks = [each for each in callbacks if each not in gone]  # type: ignore[attr-defined]

    def _listen(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN_LOOKS):
            if not self._look():
                continue
            # An exchange that breaks ends the rank in the usual way, with all that it still has to say.
            if self.failure is not None and not self._is_over.wait(SECONDS_TO_END):
                print(self.failure, file=sys.stderr, flush=True)  # noqa: T201
                os._exit(1)
            return

    def _look(self) -> bool:
        """Whether there is nothing more to look for: another rank has failed, or the store is gone."""
        with self._looking:
            if self.failure is not None:
                return True
            try:
                if not self._store.check([_FAILED]):
                    return False
                failure = Failure(*json.loads(self._store.get(_FAILED)))
                if failure.rank != self._rank:
                    self.failure = failure
                    self._store.add(_HEARD, 1)
            # The process that held it has ended.
            except RuntimeError:
                pass
            return True

    def _tell(self, error: Exception) -> None:
        """Be the rank that failed first, unless another one was faster, and stay until the others have read it."""
        own = json.dumps([self._rank, f"{type(error).__name__}: {error}"])
        try:
            first = self._store.compare_set(_FAILED, "", own)
            if first.decode() != own:
                self._look()
                return
            end = time.monotonic() + SECONDS_TO_BE_HEARD
            while self._store.add(_HEARD, 0) < self._size - 1 and time.monotonic() < end:
                time.sleep(0.02)
        except RuntimeError:
            return


def name_cause(error: BaseException, failure: Failure) -> None:
    """Put the failure of another rank in front of what an exchange with it raised; errors of other kinds stay."""
    if type(error) is RuntimeError or isinstance(error, dist.DistError):
        # As Lightning amends messages; the kind of the error, by which a caller may know it, stays.
        error.args = (f"{failure} (What this rank noticed of it: {error})",)
