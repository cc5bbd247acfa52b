from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from lt_callbacks._checks import as_paths, integer
from lt_callbacks._errors import UserError
from lt_callbacks._pictures import read_picture
from lt_callbacks.trained_model.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one file.

    Attributes:
        path: Of the file.
        probs: (num_classes,) float32; None where the picture could not be read.
        error: Why not.
    """

    path: Path
    probs: Tensor | None
    error: str | None = None


def predict_files(
    model: TrainedModel, paths: Sequence[str | os.PathLike[str]], *, batch_size: int = 64, num_workers: int = 0
) -> Iterator[Prediction]:
    """Predictions of picture files in their order, as they come; one that cannot be read does not stop the others.

    Args:
        model: Whose predictions.
        paths: Of the files.
        batch_size: Pictures at once.
        num_workers: Processes that read and prepare; 0: this one.
    """
    files = as_paths("paths", paths)
    return _predictions(
        model,
        files,
        batch_size=integer("batch_size", batch_size, at_least=1),
        num_workers=integer("num_workers", num_workers, at_least=0),
    )


def _predictions(
    model: TrainedModel, paths: Sequence[Path], *, batch_size: int, num_workers: int
) -> Iterator[Prediction]:
    loader = DataLoader(
        _Pictures(paths, model.preprocess),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=list,
        # Its own generator: DataLoader otherwise draws the workers' seed from the global one.
        generator=torch.Generator().manual_seed(0),
    )
    done = 0
    for items in loader:
        images = [item for item in items if isinstance(item, Tensor)]
        probs = iter(model.probabilities(torch.stack(images)) if images else ())
        for path, item in zip(paths[done : done + len(items)], items, strict=True):
            if isinstance(item, Tensor):
                yield Prediction(path=path, probs=next(probs))
            else:
                yield Prediction(path=path, probs=None, error=item)
        done += len(items)


class _Pictures(Dataset["Tensor | str"]):
    """Prepared pictures by position; the message where one cannot be read."""

    def __init__(self, paths: Sequence[Path], preprocess: v2.Compose) -> None:
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Tensor | str:
        try:
            prepared: Tensor = self.preprocess(read_picture(self.paths[position]))
        except UserError as error:
            return str(error)
        return prepared
