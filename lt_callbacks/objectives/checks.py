"""What is asked of the arguments of an objective; nothing is read from a device in a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._tensors import check_floating, check_integers, check_range, kind_of

_WAY_OUT_COUNTS = "Pass `torch.bincount(given_labels, minlength=num_classes)`."


def checked_counts(class_counts: Any) -> Tensor:
    """(C,) float64 counts on the CPU: how often each class is given.

    Raises:
        TypeError: Not a real tensor.
        ValueError: Not one finite count >= 0 a class, or frequencies in place of counts.
    """
    if not isinstance(class_counts, Tensor) or class_counts.is_complex():
        raise ArgumentTypeError(
            "class_counts",
            rule="be a real tensor of shape (C,)",
            got=kind_of(class_counts),
            way_out="Pass `torch.as_tensor(class_counts)`.",
        )
    if class_counts.ndim != 1 or len(class_counts) < 2:
        raise ArgumentValueError(
            "class_counts",
            rule="have shape (C,) with C >= 2",
            got=str(tuple(class_counts.shape)),
            way_out=_WAY_OUT_COUNTS,
        )
    counts = class_counts.detach().to(device="cpu", dtype=torch.float64)
    _check_each(counts, torch.isfinite(counts) & (counts >= 0), rule="be finite and >= 0")
    # The least count is taken for 1, so that frequencies would be taken for equal classes.
    _check_each(counts, (counts == 0) | (counts >= 1), rule="be counts of samples, not frequencies")
    if float(counts.max()) == 0:
        raise ArgumentValueError(
            "class_counts", rule="have a class above 0", got="zeros only", way_out="Is the training set empty?"
        )
    return counts


def check_batch(logits: Any, given_label: Any) -> None:
    """Refuse logits and labels of another kind or shape than a batch has."""
    check_floating(
        "logits", logits, rule="be a floating tensor of shape (B, C)", way_out="Pass the model's raw output."
    )
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ArgumentValueError(
            "logits",
            rule="have shape (B, C)",
            got=str(tuple(logits.shape)),
            way_out="Flatten other dimensions into the batch.",
        )
    check_integers("given_label", given_label, way_out="Pass class numbers, not soft labels.")
    if given_label.shape != logits.shape[:1]:
        raise ArgumentValueError(
            "given_label",
            rule=f"have shape ({len(logits)},), one for each row of `logits`",
            got=str(tuple(given_label.shape)),
            way_out="Pass class numbers, not one-hot rows.",
        )


def kept_samples(given_label: Tensor, *, num_classes: int, ignore_index: int) -> Tensor | None:
    """(B,) bool, which samples have a label; None where it is known on the host that all have.

    Raises:
        ValueError: A label is out of range; on the CPU. On a device the kernels stop at it.
    """
    way_out = f"A sample without a label has {ignore_index}, the objective's `ignore_index`."
    some_ignored = check_range("given_label", given_label, below=num_classes, ignored=ignore_index, way_out=way_out)
    return given_label != ignore_index if some_ignored else None


def check_index(name: str, index: Any, *, batch_size: int) -> None:
    """Refuse positions of samples that are none, for the objective called ``name``."""
    if index is None:
        raise ArgumentValueError(
            "index",
            rule=f"be given to {name}, which remembers every sample",
            got="None",
            way_out="Batches must be (image, label, index), with index the sample's position in the training set.",
        )
    check_integers("index", index, way_out="Pass the samples' positions.")
    if index.shape != (batch_size,):
        raise ArgumentValueError(
            "index",
            rule=f"have shape ({batch_size},), one for each row of `logits`",
            got=str(tuple(index.shape)),
            way_out="Pass the third item of the batch as it is.",
        )


def _check_each(counts: Tensor, is_right: Tensor, *, rule: str) -> None:
    if not bool(is_right.all()):
        first = int((~is_right).nonzero()[0])
        raise ArgumentValueError(
            "class_counts", rule=rule, got=f"{float(counts[first])} for class {first}", way_out=_WAY_OUT_COUNTS
        )
