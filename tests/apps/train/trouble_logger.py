"""A logger that fails on one rank when it is told to: a part of a training that a user brings along."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger


class TroubleLogger(Logger):
    """Raises on a rank: at once, or at the end of the first epoch at which a file is there.

    Args:
        rank: Which one.
        file: Its path; None: before the ranks have met.
    """

    def __init__(self, *, rank: int, file: str | None) -> None:
        super().__init__()
        # Lightning starts the others with a number.
        self.is_concerned = int(os.environ.get("LOCAL_RANK", "0")) == rank
        self.file = file

    @property
    def name(self) -> str:
        return "trouble"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        if self.is_concerned and self.file is None:
            raise LookupError("the logger has no server")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.is_concerned and self.file is not None and Path(self.file).exists():
            raise LookupError("the logger lost its server")
