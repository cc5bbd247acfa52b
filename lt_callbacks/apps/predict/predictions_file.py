from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from lt_callbacks._checks import integer
from lt_callbacks._files import remove_leftovers, temporary_beside


class PredictionsFile:
    """A CSV file of predictions that is written line by line and is there as a whole or not at all.

    Columns are ``path``, ``class``, ``probability``, then ``class_2``, ``probability_2`` and so on, then one
    ``probability of CLASS`` each. A picture without a prediction has empty cells.

    Args:
        path: Of the file.
        class_names: Of the model, in order.
        top: How many classes a picture is given, the likeliest first.
        has_all: Whether the probability of every class follows.
    """

    def __init__(self, path: Path, *, class_names: tuple[str, ...], top: int = 1, has_all: bool = False) -> None:
        self.path, self.class_names, self.has_all = path, class_names, has_all
        self.top = integer("top", top, at_least=1, at_most=len(class_names))

    @property
    def columns(self) -> list[str]:
        """The header."""
        ranks = [f"_{rank}" if rank > 1 else "" for rank in range(1, self.top + 1)]
        best = [name + rank for rank in ranks for name in ("class", "probability")]
        return ["path", *best, *(f"probability of {name}" for name in self.class_names if self.has_all)]

    def __enter__(self) -> PredictionsFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.path.parent, name=self.path.name)
        self._beside = temporary_beside(self.path)
        self._stream = self._beside.open("x", newline="", encoding="utf-8")
        self._writer: Any = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(self.columns)
        return self

    def add(self, path: str, probs: Tensor | None) -> None:
        """Write the line of a picture.

        Args:
            path: How it is called.
            probs: (num_classes,) probabilities; None: it could not be read.
        """
        cells: Iterable[str] = [""] * (len(self.columns) - 1) if probs is None else self._cells(probs)
        self._writer.writerow([path, *cells])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if kind is None:
            self._beside.replace(self.path)
        else:
            self._beside.unlink(missing_ok=True)

    def _cells(self, probs: Tensor) -> list[str]:
        values, places = probs.topk(self.top)
        best = zip(places.tolist(), values.tolist(), strict=True)
        cells = [cell for place, value in best for cell in (self.class_names[place], f"{value:.6f}")]
        return cells + ([f"{value:.6f}" for value in probs.tolist()] if self.has_all else [])
