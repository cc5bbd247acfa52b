# Legend: V views, B batch, C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

#: Why an image cannot be used: a logit that is not finite, no such class, a weight that is out of range.
NONFINITE, NO_CLASS, BAD_WEIGHT = range(3)
#: Weights between which their squares, and sums of these, lose no digits.
LEAST_WEIGHT, GREATEST_WEIGHT = 1e-15, 1e15


def normalised_prior(class_prior: Any, *, name: str = "class_prior") -> Tensor:
    """A class prior from counts or frequencies of at least two classes: (C,) float64 on the CPU, sum 1.

    A class without training samples has no finite log prior; it cannot be adjusted for and is refused by name.

    Raises:
        TypeError: Not numbers.
        ValueError: Not one positive, finite number a class.
    """
    try:
        # The device first: not every one knows float64.
        values = class_prior.detach().cpu() if isinstance(class_prior, Tensor) else class_prior
        prior = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError(
            name,
            rule="be (C,) counts or frequencies",
            got=type(class_prior).__name__,
            way_out="Pass the number of training samples of each class.",
        ) from error
    if prior.ndim != 1 or len(prior) < 2:
        raise ArgumentValueError(
            name,
            rule="have shape (C,) with C >= 2",
            got=str(tuple(prior.shape)),
            way_out="Pass the number of training samples of each class.",
        )
    wrong = ~(prior.isfinite() & (prior > 0))
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise ArgumentValueError(
            name,
            rule="be finite and > 0",
            got=f"{float(prior[first])} for class {first}",
            way_out="A class without training samples has no prior to correct for: leave it out, or give it a small "
            "count.",
        )
    # Dividing by the largest first keeps the sum finite whatever the unit.
    shares = prior / prior.max()
    least = int(shares.argmin())
    if float(shares[least]) < torch.finfo(torch.float64).tiny:
        raise ArgumentValueError(
            name,
            rule="be less uneven than 1 to 1e-307",
            got=f"{float(prior[least])} for class {least} beside {float(prior.max())}",
            way_out="Give classes that are hardly there a small count.",
        )
    return shares / shares.sum()


def centred_log_prior(prior: Tensor) -> Tensor:
    """(C,) log pi - mean log pi of a normalised prior; exact zeros where all classes are alike."""
    # Equal entries give equal logarithms, yet their mean may differ in the last bit.
    if bool((prior == prior[0]).all()):
        return torch.zeros_like(prior)
    log_prior = prior.log()
    return log_prior - log_prior.mean()


def checked_batch(
    logits: Any, intended_class: Any, weight: Any, *, num_classes: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits (V, B, C), intended classes (B,) and weights (B,) on one device, of the right kind and shape.

    Kinds and shapes only: nothing is read from a device.

    Raises:
        TypeError: Logits or weights that are not real numbers, classes that are not integers.
        ValueError: Shapes disagree.
    """
    logits, intended_class = _tensor("logits", logits), _tensor("intended_class", intended_class)
    if not logits.is_floating_point():
        raise ArgumentTypeError(
            "logits", rule="be floating", got=str(logits.dtype), way_out="Pass the outputs before the softmax."
        )
    views = logits[None] if logits.ndim == 2 else logits
    if views.ndim != 3 or views.shape[2] != num_classes or len(views) == 0:
        raise ArgumentValueError(
            "logits",
            rule=f"have shape (B, {num_classes}) or (V, B, {num_classes}) as `class_prior` has {num_classes} entries",
            got=str(tuple(logits.shape)),
            way_out="Classes come last.",
        )
    is_integer = not (intended_class.is_floating_point() or intended_class.is_complex())
    if intended_class.numel() and (intended_class.dtype == torch.bool or not is_integer):  # [] has no dtype of its own
        raise ArgumentTypeError(
            "intended_class",
            rule="be integers",
            got=str(intended_class.dtype),
            way_out="Pass class numbers, not one-hot rows.",
        )
    _check_length("intended_class", intended_class, views)
    if weight is not None:
        weight = _tensor("weight", weight)
        if weight.is_complex():
            raise ArgumentTypeError(
                "weight", rule="be real", got=str(weight.dtype), way_out="Leave it out to weight all alike."
            )
        _check_length("weight", weight, views)
        weight = weight.to(views.device)
    return views, intended_class.to(views.device).long(), weight


def check_values(views: Tensor, intended_class: Tensor, weight: Tensor | None) -> None:
    """Refuse the first image that cannot be used, by position; reads from the device.

    Raises:
        ValueError: A logit is not finite, a class or a weight is out of range.
    """
    for why, is_wrong in enumerate(unusable(views, intended_class, weight)):
        positions = is_wrong.nonzero()[:, 0].tolist()
        if positions:
            at = positions[0]
            got = "NaN or an infinity"
            if why == NO_CLASS:
                got = str(int(intended_class[at]))
            elif why == BAD_WEIGHT and weight is not None:
                got = str(float(weight[at]))
            raise _unusable_error(why, f"{got} for image {at}", num_classes=views.shape[2])


def check_refused(refused: Tensor, *, num_classes: int) -> None:
    """Refuse images that a stream has left out, by their number.

    Args:
        refused: (3,) number of images that cannot be used, by why.
        num_classes: C.

    Raises:
        ValueError: There is such an image.
    """
    for why, count in enumerate(refused.tolist()):
        if count:
            got = "NaN or an infinity" if why == NONFINITE else "another value"
            raise _unusable_error(why, f"{got} for {int(count)} images", num_classes=num_classes)


def unusable(views: Tensor, intended_class: Tensor, weight: Tensor | None) -> Tensor:
    """(3, B) bool, by why: whether each image cannot be used. Nothing is read on the host."""
    # An extreme is not finite where any value is not.
    is_finite = (views.amax(dim=2).isfinite() & views.amin(dim=2).isfinite()).all(dim=0)
    has_class = (intended_class >= 0) & (intended_class < views.shape[2])
    has_weight = torch.ones_like(has_class)
    if weight is not None:
        # The limits may be 0 and infinity in half precision.
        is_inside = (weight >= LEAST_WEIGHT) & (weight <= GREATEST_WEIGHT) & weight.isfinite()
        has_weight = (weight == 0) | is_inside
    return ~torch.stack([is_finite, has_class, has_weight])


def _tensor(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError(
            name, rule="be a tensor", got=type(values).__name__, way_out="Pass `torch.as_tensor(...)`."
        ) from error


def _check_length(name: str, values: Tensor, views: Tensor) -> None:
    if values.shape != views.shape[1:2]:
        raise ArgumentValueError(
            name,
            rule=f"have shape ({views.shape[1]},), one entry an image",
            got=str(tuple(values.shape)),
            way_out="Logits of several views are (V, B, C): an image counts once.",
        )


def _unusable_error(why: int, got: str, *, num_classes: int) -> ArgumentValueError:
    argument, rule, way_out = {
        NONFINITE: ("logits", "be finite", "Find what overflows in the forward pass, or run it in float32."),
        NO_CLASS: (
            "intended_class",
            f"lie in 0..{num_classes - 1}",
            "It numbers the classes as the columns of `logits` do, from 0.",
        ),
        BAD_WEIGHT: (
            "weight",
            f"be 0 or lie in [{LEAST_WEIGHT:g}, {GREATEST_WEIGHT:g}]",
            "Leave it out to weight all alike.",
        ),
    }[why]
    return ArgumentValueError(argument, rule=rule, got=got, way_out=way_out)
