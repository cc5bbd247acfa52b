# Legend: B batch, C classes.
from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lt_callbacks._errors import StateError
from lt_callbacks.teachers.batch_fields import get_field


def check_first_step(batch: Any, logits: Tensor) -> None:
    """Look at the first step of a training for what D-SINK cannot work with; it reads on the host, and only once.

    Args:
        batch: As ``training_step`` got it; labels are the second item, or the key ``"label"``.
        logits: (B, C) what D-SINK takes for logits.

    Raises:
        RuntimeError: The labels are of several classes a sample.
    """
    labels = get_field(batch, "label" if isinstance(batch, Mapping) else 1)
    # Rows that sum to one are soft or one-hot labels of a single class.
    if isinstance(labels, Tensor) and labels.ndim == 2 and labels.shape == logits.shape and not _sum_to_one(labels):
        raise StateError(
            "D-SINK must have one class a sample: its proxy labels are distributions over the classes. The batch has "
            f"labels of several classes, {labels.dtype} of shape {tuple(labels.shape)} with rows that do not sum to 1. "
            "Train on one label a sample, (B,) class numbers, or train a multi-label model without D-SINK."
        )
    warn_of_probabilities(logits)


def warn_of_probabilities(logits: Tensor) -> None:
    """Warn where all rows are probabilities already, which a softmax would flatten; log-probabilities are logits."""
    if len(logits) and bool((logits.detach() >= 0).all()) and _sum_to_one(logits.detach()):
        warnings.warn(
            "D-SINK takes the model's output for logits, but every row is >= 0 and sums to 1, as after a softmax. Its "
            "softmax is nearly uniform. Return the values before the softmax, or their log_softmax.",
            stacklevel=2,
        )


def _sum_to_one(rows: Tensor) -> bool:
    # A sum of half precision is off by so much.
    return bool(((rows.float().sum(dim=1) - 1).abs() < 1e-2).all())
