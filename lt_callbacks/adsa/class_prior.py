# Legend: C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def normalised_prior(class_prior: Any, *, name: str = "class_prior") -> Tensor:
    """(C,) float64 on the CPU, sum 1, from counts or frequencies of at least two classes, all finite and > 0.

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
        raise TypeError(
            f"`{name}` must be (C,) counts or frequencies; got {type(class_prior).__name__}. "
            "Pass the number of training samples of each class."
        ) from error
    if prior.ndim != 1 or len(prior) < 2:
        raise ValueError(
            f"`{name}` must have shape (C,) with C >= 2; got {tuple(prior.shape)}. "
            "Pass the number of training samples of each class."
        )
    wrong = ~(prior.isfinite() & (prior > 0))
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        raise ValueError(
            f"`{name}` must be finite and > 0; got {float(prior[first])} for class {first}. "
            "A class without training samples has no prior to correct for: leave it out, or give it a small count."
        )
    # Dividing by the largest first keeps the sum finite whatever the unit.
    prior = prior / prior.max()
    return prior / prior.sum()


def centred_log_prior(prior: Tensor) -> Tensor:
    """(C,) log pi - mean log pi of a normalised prior; exact zeros where all classes are alike."""
    # Equal entries give equal logarithms, yet their mean may differ in the last bit.
    if bool((prior == prior[0]).all()):
        return torch.zeros_like(prior)
    log_prior = prior.log()
    return log_prior - log_prior.mean()
