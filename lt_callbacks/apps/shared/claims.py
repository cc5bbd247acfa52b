"""Who writes to a run's folder and who works on which row, where several commands share a folder or a document."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._files import canonical_json, remove_leftovers, sha256
from lt_callbacks._lease import Lease, LeaseHeldError
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.evaluation import ResultFile

_IN_USE = ".in-use"


@contextmanager
def claimed_folder(output: Path, *, results: Path, waits: bool, preemption: Preemption) -> Iterator[None]:
    """Have a run's folder for a block alone.

    Args:
        output: The folder, made when needed.
        results: The run's document, which another run may share.
        waits: Whether to wait for another run that is there, as a job of a sweep does for one that it replaces.
        preemption: Whether to stop waiting.

    Raises:
        ValueError: Another run that lives is there.
        Preempted: It was asked to stop while it waited.
    """
    is_over = False

    def unless() -> bool:
        _stop_if_asked(preemption, is_waiting=not is_over)
        return is_over

    def on_wait(who: str) -> None:
        sys.stderr.write(f"Waiting for {who}, which works in {output}.\n")

    with ExitStack() as stack:
        lease = Lease(output / _IN_USE).acquire(unless=unless, waits=waits, on_wait=on_wait)
        try:
            stack.enter_context(lease)
        except LeaseHeldError as held:
            raise ArgumentValueError(
                "output",
                rule="be a folder that no other run is writing to",
                got=f"{str(output)!r}, where {held.who} is at work",
                way_out="Wait for it, or stop it. To share its work, start this one in a folder of its own and with "
                f"the same document: hydra.run.dir=... results={results}",
            ) from held
        try:
            yield
        finally:
            is_over = True


class RowClaims:
    """The rows of a document that this run works on: each is held by one process, and trained once.

    Args:
        document: Of the results; looked at again before each row.
        setting: Of the run's rows.
        progress: Told of rows that others work on.
        preemption: Whether to stop waiting for others.

    Attributes:
        settled: (seed, title) of the rows that were finished since, here or elsewhere.
    """

    def __init__(self, document: ResultFile, *, setting: str, progress: Any, preemption: Preemption) -> None:
        self.document, self.setting = document, setting
        self.progress, self.preemption = progress, preemption
        self.settled: set[tuple[int, str]] = set()
        self._folder = document.path.with_name(f".{document.path.name}.rows")

    @contextmanager
    def row(self, title: str, *, seed: int, waits: bool) -> Iterator[bool]:
        """Hold a row for a block that trains it and adds its result; yields whether there is anything to do.

        Args:
            title: Of the method, as the document has it.
            seed: Of the row.
            waits: Whether to wait for another process that works on the row. Without, the row is left for later.

        Raises:
            Preempted: It was asked to stop while it waited.
        """
        name, is_waiting = f"seed {seed}, {title}", True

        def is_finished() -> bool:
            _stop_if_asked(self.preemption, is_waiting=is_waiting)
            self.document.look_again()
            return self.document.is_finished(method=title, seed=seed, setting=self.setting)

        with ExitStack() as stack:
            lease = self._lease(title, seed, self.setting).acquire(
                unless=is_finished,
                waits=waits,
                on_wait=lambda who: self.progress.say(f"  {name}: waiting for {who}, which works on it"),
            )
            try:
                is_held = stack.enter_context(lease)
            except LeaseHeldError as held:
                self.progress.say(f"  {name}: left to {held.who}, which works on it")
                yield False
                return
            is_waiting = False
            if not is_held:
                self.progress.skip(name, "finished by another process meanwhile")
            yield is_held
        self.settled.add((seed, title))

    def add(self, result: Any) -> None:
        """Add a row's result to the document; one that another process added first is kept."""
        if not self.document.append_if_missing(result):
            self.progress.say(f"  seed {result.seed}, {result.method}: another process was faster, its result is kept")

    def close(self) -> None:
        """Remove what is left of the claims on finished rows, as of a process that was killed after it had one."""
        if not self._folder.is_dir():
            return
        self.document.look_again()
        for result in self.document.results:
            shutil.rmtree(self._lease(result.method, result.seed, result.setting).folder, ignore_errors=True)
        remove_leftovers(self._folder)
        with suppress(OSError):
            # Not empty: others are at work.
            self._folder.rmdir()

    def _lease(self, title: str, seed: int, setting: str) -> Lease:
        return Lease(self._folder / sha256(canonical_json([title, seed, setting]))[:16])


def _stop_if_asked(preemption: Preemption, *, is_waiting: bool) -> None:
    if is_waiting and preemption.is_requested:
        raise Preempted("asked to stop while it waited")
