from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

_SECONDS_BETWEEN_LINES = 20.0
_SECONDS_BETWEEN_MOVES = 0.1


class RunProgress:
    """One bar for a run of many trainings on a terminal, plain lines elsewhere.

    Args:
        total: Trainings to come.
        unit: What they are called, where not all of them are trainings.
        stream: Where to; None: standard error.
    """

    def __init__(self, *, total: int, unit: str = "trainings", stream: Any = None) -> None:
        from rich.console import Console

        self.total, self.unit = total, unit
        self.done = 0
        self.console = Console(file=stream if stream is not None else sys.stderr)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> RunProgress:
        if self.console.is_terminal and self.total:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn(f"{{task.completed:.1f}}/{{task.total}} {self.unit}"),
                TimeElapsedColumn(),
                console=self.console,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line that stays above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def say_if_any(self, text: str | None) -> None:
        """As `say`, where there is something to say."""
        if text is not None:
            self.say(text)

    @contextmanager
    def training(self, name: str) -> Iterator[Callback]:
        """A callback that moves the bar while ``name`` trains."""
        started = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, description=name)
        yield _EpochProgress(self, name)
        self._finish(name, f"{time.monotonic() - started:.0f} s")

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """A function of (steps done, steps to do) that moves the bar while ``name`` is worked on."""
        started = last = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, description=name)

        def on_step(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > (_SECONDS_BETWEEN_MOVES if self.is_live else _SECONDS_BETWEEN_LINES):
                last = now
                self.advance(name, done, total, unit="step")

        yield on_step
        self._finish(name, f"{time.monotonic() - started:.0f} s")

    def skip(self, name: str, why: str) -> None:
        """Count ``name`` as done without a training, and say so; the bar alone would pass over it in a moment."""
        self._finish(name, why)
        if self._bar is not None:
            self.say(f"  {name}: {why}")

    def advance(self, name: str, done: int, total: int, *, unit: str = "epoch") -> None:
        """Show that ``done`` of ``total`` epochs, or of another ``unit``, are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done + done / total)
        else:
            self.say(f"  {name}: {unit} {done}/{total}")

    @property
    def is_live(self) -> bool:
        """Whether a bar is shown, which may move often."""
        return self._bar is not None

    def _finish(self, name: str, how: str) -> None:
        self.done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
        else:
            self.say(f"[{self.done}/{self.total}] {name}: {how}")


class _EpochProgress(Callback):
    def __init__(self, progress: RunProgress, name: str) -> None:
        self.progress, self.name = progress, name
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Moves the bar; in a log file, a line now and then."""
        if not trainer.is_global_zero or not trainer.max_epochs:
            return
        now = time.monotonic()
        if self.progress.is_live or now - self._last > _SECONDS_BETWEEN_LINES:
            self._last = now
            self.progress.advance(self.name, trainer.current_epoch + 1, trainer.max_epochs)
