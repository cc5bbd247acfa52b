"""Clocks in the place of `time` in `lt_callbacks._lease`, for a job that waits: what they show is not the machine's speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from patience import wait_until


class FakeClock:
    """Time goes by in sleep alone, at once."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class HeartbeatClock(FakeClock):
    """Each sleep lasts until all holders have given another sign of life, and is then shown as ``seconds``.

    Args:
        files: Of the leases whose holders are listened to.
        seconds: Less than the expiry of the lease: a holder that lives never loses it, however slow the machine is.
        on_sleep: Is told how many sleeps there were.
    """

    def __init__(self, *files: Path, seconds: float, on_sleep: Callable[[int], None] = lambda count: None) -> None:
        super().__init__()
        self._files, self._seconds, self._on_sleep, self._count = files, seconds, on_sleep, 0

    def sleep(self, seconds: float) -> None:
        self._count += 1
        self._on_sleep(self._count)
        for file in self._files:
            before = _content(file)
            wait_until(lambda file=file, before=before: _content(file) != before)
        super().sleep(self._seconds)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
